// moored-shim: keeps one pod's containers, logs and exit codes while the daemon is away.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "runtime/shim/entrance.hpp"
#include "runtime/shim/server.hpp"

namespace {

using moored::shim::Server;

constexpr int kSyncDescriptor = 3;
constexpr int kFirstEntrance = 4;

// Into its own groups first: what it makes from there on is accounted for.
moored::Result<std::unique_ptr<Server>> start(const std::string& directory) {
  for (int entrance = kFirstEntrance; ::fcntl(entrance, F_GETFD) >= 0; ++entrance) {
    MOORED_CHECK(moored::shim::enter_group(entrance));
    ::close(entrance);
  }
  return Server::create(directory);
}

}  // namespace

// moored-shim POD-DIRECTORY. Descriptor 3 is told "ok", or why it could not start. Those from 4 on
// are the tasks files of its groups.
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto server = start(argv[1]);
  const std::string word = server ? "ok" : server.error().message;
  if (::write(kSyncDescriptor, word.data(), word.size()) < 0) return 1;
  ::close(kSyncDescriptor);
  if (!server) return 1;
  return (*server)->run() ? 0 : 1;
}
