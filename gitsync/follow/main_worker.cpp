// moored-git: parses everything foreign that comes with a source, in a process of its own.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "gitsync/follow/jail.hpp"
#include "gitsync/follow/worker.hpp"
#include "gitsync/repo/library.hpp"
#include "schema/base/log.hpp"

namespace {

using moored::FrameChannel;

constexpr int kSocket = 3;  // where the daemon leaves it

// Ids are plain decimal; a sign or a space makes the argument unusable.
std::optional<unsigned> read_number(std::string_view text) {
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// moored-git --mirror DIR | --local DIR [--user UID --group GID]
std::optional<moored::git::Jail> read_arguments(int count, char** values) {
  moored::git::Jail jail;
  std::optional<unsigned> user;
  std::optional<unsigned> group;
  if (count % 2 == 0) return std::nullopt;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = values[i];
    if (name == "--mirror") {
      jail.mirror = values[i + 1];
    } else if (name == "--local") {
      jail.local = values[i + 1];
    } else if (name == "--user") {
      user = read_number(values[i + 1]);
    } else if (name == "--group") {
      group = read_number(values[i + 1]);
    } else {
      return std::nullopt;
    }
  }
  if (jail.mirror.empty() == jail.local.empty() || user.has_value() != group.has_value()) {
    return std::nullopt;
  }
  if (user) jail.user = {*user, *group};
  return jail;
}

// Without its jail the worker looks at nothing that it is sent; it only says why, so that the
// reason stands in the status of the source.
int refuse_all(const FrameChannel& channel, const moored::Error& error) {
  moored::log(moored::LogLevel::error, "moored-git: " + error.text());
  while (channel.receive(std::chrono::milliseconds(-1))) {
    const auto told = channel.send(moored::git::encode_reply(moored::git::ErrorReply{error}));
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
  const auto jail = read_arguments(argument_count, argument_values);
  if (!jail) {
    std::fprintf(stderr, "moored-git is started by moored: "
                         "--mirror DIR | --local DIR [--user UID --group GID]\n");
    return 2;
  }
  // There is no way in but this socket, and its end is the end of the process.
  FrameChannel channel(moored::UniqueFd(kSocket), -1);
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
