// moored-pull: speaks to one registry for the daemon, with no right to write anything anywhere.
//
// moored-pull [--user UID --group GID], with a socket to the daemon on descriptor 3.
#include <curl/curl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "runtime/registry/cell.hpp"
#include "runtime/registry/service.hpp"
#include "schema/base/log.hpp"

namespace {

constexpr int kSocket = 3;  // where the daemon leaves it

// Ids are plain decimal; a sign or a space makes the argument unusable.
std::optional<unsigned> read_number(std::string_view text) {
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// Groups first: without the user's rights they can no longer be given up.
bool become(unsigned user, unsigned group) {
  return setgroups(0, nullptr) == 0 && setgid(group) == 0 && setuid(user) == 0;
}

}  // namespace

int main(int count, char** values) {
  if (count == 2 && std::strcmp(values[1], "--version") == 0) {
    std::printf("moored-pull %s (%s)\n", MOORED_VERSION, curl_version());
    return 0;
  }
  const bool changes = count == 5 && std::strcmp(values[1], "--user") == 0 &&
                       std::strcmp(values[3], "--group") == 0;
  const auto user = changes ? read_number(values[2]) : std::nullopt;
  const auto group = changes ? read_number(values[4]) : std::nullopt;
  if ((count != 1 && !changes) || user.has_value() != group.has_value() || (changes && !user)) {
    std::fprintf(stderr, "moored-pull is started by moored: [--user UID --group GID]\n");
    return 2;
  }
  if (user && !become(*user, *group)) {
    std::perror("moored-pull: give up rights");
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // the log may be a file, which cannot be written from here
  curl_global_init(CURL_GLOBAL_DEFAULT);
  auto status = moored::registry::enter_cell();
  if (status) {
    status = moored::registry::serve(moored::FrameChannel(moored::UniqueFd(kSocket), -1));
  }
  if (status) return 0;
  moored::log(moored::LogLevel::error, "moored-pull ends: " + status.error().text());
  return 1;
}
