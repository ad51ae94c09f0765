// moored-invariants: compares what moored records with what the machine has. Exit status 0 and
// silence: clean. 1: one line for each finding. 2: it could not look.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/invariants/readings.hpp"

namespace {

using namespace moored;
using namespace moored::invariants;

constexpr const char* kUsage =
    "usage: moored-invariants --state-dir D --run-dir D [--api URL] [--cgroup-root PATH]\n"
    "                         [--settle SECONDS]\n"
    "       moored-invariants --gone --instance ID [--state-dir D] [--run-dir D]\n"
    "A running daemon is between states now and then: findings count when they last for\n"
    "--settle seconds (5).\n";

struct Options {
  Places places;
  std::string api;
  bool gone = false;
  int settle_seconds = 5;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--gone") {
      options.gone = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string value = argv[++i];
    if (flag == "--state-dir") {
      options.places.state_dir = value;
    } else if (flag == "--run-dir") {
      options.places.run_dir = value;
    } else if (flag == "--instance") {
      options.places.instance = value;
    } else if (flag == "--cgroup-root") {
      options.places.cgroup_root = value;
    } else if (flag == "--api") {
      options.api = value;
    } else if (flag == "--settle") {
      options.settle_seconds = std::atoi(value.c_str());
    } else {
      return false;
    }
  }
  return options.gone ? !options.places.instance.empty()
                      : !options.places.state_dir.empty() && !options.places.run_dir.empty();
}

Result<std::vector<std::string>> look(const Options& options) {
  MOORED_TRY(const auto places, complete(options.places));
  if (options.gone) {
    MOORED_TRY(const auto left, read_leftovers(places));
    return check_gone(left);
  }
  MOORED_TRY(const auto recorded, read_recorded(places));
  MOORED_TRY(const auto machine, read_machine(places));
  auto findings = check(recorded, machine);
  if (options.api.empty()) return findings;
  MOORED_TRY(const auto shown, read_api_pods(options.api));
  for (const auto& pod : recorded.pods) {
    if (shown.count(pod.uid) == 0) findings.push_back("missing: " + pod.name + " in the API");
  }
  if (shown.size() > recorded.pods.size()) findings.push_back("double: more pods in the API");
  return findings;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.settle_seconds);
  for (;;) {
    const auto findings = look(options);
    if (findings && findings->empty()) return 0;
    if (std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      continue;
    }
    if (!findings) {
      std::fprintf(stderr, "moored-invariants: %s\n", findings.error().text().c_str());
      return 2;
    }
    for (const auto& line : *findings) std::puts(line.c_str());
    return 1;
  }
}
