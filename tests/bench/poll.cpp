// Bench: looks at a remote that does not change, through one long-lived worker.
//
//   bench-poll WORKER URL MIRRORS COUNT
//
// WORKER is moored-git, MIRRORS an empty directory. Prints wall milliseconds of each look, one a
// line; the first, which fetches everything, is not told.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>

#include "gitsync/follow/worker_reader.hpp"

namespace moored {
namespace {

Status run_all(char** words, int count) {
  WorkerReader::Options options;
  options.program = words[1];
  options.mirror_root = words[3];
  WorkerReader reader(options);
  SourceSpec source;
  source.id = "bench/poll";
  source.url = words[2];
  source.reference = "refs/heads/main";
  source.allow_local = true;
  MOORED_TRY(const auto first, reader.fetch(source, {}));
  for (int i = 0; i < count; ++i) {
    const auto began = std::chrono::steady_clock::now();
    MOORED_TRY(const auto head, reader.fetch(source, first.commit.sha));
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - began;
    if (head.changed) return fail(Code::internal, "the remote changed");
    std::cout << took.count() << "\n";
  }
  return {};
}

}  // namespace
}  // namespace moored

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: bench-poll WORKER URL MIRRORS COUNT\n";
    return 2;
  }
  const auto done = moored::run_all(argv, std::atoi(argv[4]));
  if (!done) std::cerr << done.error().text() << "\n";
  return done ? 0 : 1;
}
