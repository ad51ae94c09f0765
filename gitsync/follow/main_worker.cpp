// moored-git: parses everything foreign that comes with a source, in a process of its own.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "gitsync/follow/jail.hpp"
#include "gitsync/follow/worker.hpp"
#include "gitsync/repo/library.hpp"
#include "schema/base/log.hpp"
#include "schema/host/worker_process.hpp"

namespace {

using moored::FrameChannel;

// moored-git --mirror DIR | --local DIR [--user UID --group GID]
moored::Result<moored::git::Jail> read_arguments(std::vector<std::string> arguments) {
  moored::git::Jail jail;
  MOORED_TRY(jail.user, moored::take_worker_user(arguments));
  if (arguments.size() == 2 && arguments[0] == "--mirror") jail.mirror = arguments[1];
  if (arguments.size() == 2 && arguments[0] == "--local") jail.local = arguments[1];
  if (jail.mirror.empty() == jail.local.empty()) {
    return moored::fail(moored::Code::invalid, "it needs a mirror or a local repository");
  }
  return jail;
}

// Without its jail the worker looks at nothing that it is sent; it only says why, so that the
// reason stands in the status of the source.
int refuse_all(const FrameChannel& channel, const moored::Error& error) {
  moored::log(moored::LogLevel::error, "moored-git: " + error.text());
  while (channel.receive(std::chrono::milliseconds(-1))) {
    const auto told = channel.send(moored::git::encode_reply(moored::git::ErrorReply{error, {}}));
    if (!told) break;
  }
  return 1;
}

}  // namespace

int main(int argument_count, char** argument_values) {
  if (argument_count == 2 && std::strcmp(argument_values[1], "--version") == 0) {
    std::printf("moored-git %s (libgit2 %s)\n", MOORED_VERSION,
                moored::git::library_version().c_str());
    return 0;
  }
  const auto jail = read_arguments({argument_values + 1, argument_values + argument_count});
  if (!jail) {
    std::fprintf(stderr,
                 "moored-git is started by moored: "
                 "--mirror DIR | --local DIR [--user UID --group GID] (%s)\n",
                 jail.error().message.c_str());
    return 2;
  }
  // There is no way in but this socket, and its end is the end of the process.
  FrameChannel channel(moored::UniqueFd(moored::kWorkerSocket), -1);
  const auto entered = moored::git::enter_jail(*jail);
  if (!entered) {
    return refuse_all(channel, moored::Error(entered.error()).context("confine the git worker"));
  }
  const std::string mirror = jail->mirror.empty() ? "" : jail->mirror + "/repository";
  moored::git::WorkerService service(std::move(channel), mirror);
  const auto status = service.run();
  if (status) return 0;
  moored::log(moored::LogLevel::error, "moored-git ends: " + status.error().text());
  return 1;
}
