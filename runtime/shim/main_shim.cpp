// moored-shim: keeps one pod's containers, logs and exit codes while the daemon is away.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/shim/entrance.hpp"
#include "runtime/shim/server.hpp"

namespace {

using moored::shim::Server;

// Into its own groups first: what it makes from there on is accounted for.
moored::Result<std::unique_ptr<Server>> start(const std::string& directory,
                                              const std::vector<std::string>& tasks_files) {
  MOORED_TRY(const auto entrances, moored::shim::open_entrances(tasks_files));
  for (const auto& entrance : entrances) MOORED_CHECK(moored::shim::enter_group(entrance.get()));
  return Server::create(directory);
}

}  // namespace

// moored-shim POD-DIRECTORY [TASKS-FILE...]. Descriptor 3 is told "ok", or why it could not start.
int main(int argc, char** argv) {
  constexpr int kSyncDescriptor = 3;
  if (argc < 2) return 2;
  auto server = start(argv[1], {argv + 2, argv + argc});
  const std::string word = server ? "ok" : server.error().message;
  if (::write(kSyncDescriptor, word.data(), word.size()) < 0) return 1;
  ::close(kSyncDescriptor);
  if (!server) return 1;
  return (*server)->run() ? 0 : 1;
}
