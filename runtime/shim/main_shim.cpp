// moored-shim: keeps one pod's containers, logs and exit codes while the daemon is away.
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "runtime/shim/server.hpp"

// moored-shim POD-DIRECTORY. Descriptor 3 is told "ok", or why it could not start.
int main(int argc, char** argv) {
  constexpr int kSyncDescriptor = 3;
  if (argc != 2) return 2;
  auto server = moored::shim::Server::create(argv[1]);
  const std::string word = server ? "ok" : server.error().message;
  if (::write(kSyncDescriptor, word.data(), word.size()) < 0) return 1;
  ::close(kSyncDescriptor);
  if (!server) return 1;
  return (*server)->run() ? 0 : 1;
}
