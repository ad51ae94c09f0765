// moored-shim: keeps one pod's containers, logs and exit codes while the daemon is away.
#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "runtime/shim/entrance.hpp"
#include "runtime/shim/server.hpp"
#include "runtime/shim/starter.hpp"

namespace {

using moored::UniqueFd;

constexpr int kLine = 3;
constexpr int kFirstEntrance = 4;

// Tells how the start went, and serves the pod to its end. A daemon that made the shim speaks on
// over the same line; whoever started the program by hand has to connect.
int serve(const std::string& directory, UniqueFd line, bool speaks_on) {
  auto server = moored::shim::Server::create(directory);
  if (server && speaks_on) {
    (*server)->welcome(std::move(line));
  } else {
    const std::string word = server ? "ok" : server.error().message;
    if (::write(line.get(), word.data(), word.size()) < 0) return 1;
    line.reset();
  }
  if (!server) return 1;
  return (*server)->run() ? 0 : 1;
}

// Into its own groups first: what it makes from there on is accounted for.
moored::Status enter_groups() {
  for (int entrance = kFirstEntrance; ::fcntl(entrance, F_GETFD) >= 0; ++entrance) {
    MOORED_CHECK(moored::shim::enter_group(entrance));
    ::close(entrance);
  }
  return {};
}

}  // namespace

// moored-shim POD-DIRECTORY: descriptor 3 is told "ok", or why it could not start.
// moored-shim --starter ROOM: descriptor 3 is the line to the daemon, those from 4 on are the
// tasks files of its groups. ROOM is blank, and as long as the longest directory may be.
int main(int argc, char** argv) {
  const bool starter = argc == 3 && std::string_view(argv[1]) == "--starter";
  if (argc != 2 && !starter) return 2;
  if (!starter) return serve(argv[1], UniqueFd(kLine), false);
  if (!enter_groups()) return 1;
  auto birth = moored::shim::run_starter(UniqueFd(kLine));
  if (!birth) return 1;
  if (!*birth) return 0;
  moored::shim::rename_process(argc, argv, (*birth)->directory);
  return serve((*birth)->directory, std::move((*birth)->line), true);
}
