// moored-git: parses everything foreign that comes with a source, in a process of its own.
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "gitsync/follow/worker.hpp"
#include "gitsync/repo/library.hpp"
#include "schema/base/log.hpp"

namespace {

constexpr int kSocket = 3;  // where the daemon leaves it
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr rlim_t kMemoryBytes = RLIM_INFINITY;  // sanitizers reserve terabytes of addresses
#else
constexpr rlim_t kMemoryBytes = 2UL << 30U;
#endif
// One pack is the largest file; the meter refuses it at half of this already.
constexpr rlim_t kFileBytes = 1UL << 30U;
// A mirror holds two for each pack, and has at most a hundred of them.
constexpr rlim_t kDescriptors = 512;

struct Arguments {
  std::string mirror;
  std::optional<unsigned> user;
  std::optional<unsigned> group;
};

// Ids are plain decimal; a sign or a space makes the argument unusable.
std::optional<unsigned> read_number(std::string_view text) {
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// moored-git --mirror DIR [--user UID --group GID]
std::optional<Arguments> read_arguments(int count, char** values) {
  Arguments arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = values[i];
    if (name == "--mirror") {
      arguments.mirror = values[i + 1];
    } else if (name == "--user") {
      arguments.user = read_number(values[i + 1]);
    } else if (name == "--group") {
      arguments.group = read_number(values[i + 1]);
    } else {
      return std::nullopt;
    }
  }
  if (arguments.mirror.empty() || arguments.user.has_value() != arguments.group.has_value()) {
    return std::nullopt;
  }
  return arguments;
}

bool limit(int resource, rlim_t value) {
  const rlimit wanted{value, value};
  return setrlimit(static_cast<__rlimit_resource>(resource), &wanted) == 0;
}

// No more than this job needs: bounded memory and files, no new rights, another user if one is
// given.
bool give_up_rights(const Arguments& arguments) {
  bool done = limit(RLIMIT_AS, kMemoryBytes) && limit(RLIMIT_FSIZE, kFileBytes) &&
              limit(RLIMIT_NOFILE, kDescriptors) && limit(RLIMIT_CORE, 0);
  done = done && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  // Groups first: without the user's rights they can no longer be given up.
  if (arguments.user) {
    done = done && setgroups(0, nullptr) == 0 && setgid(*arguments.group) == 0 &&
           setuid(*arguments.user) == 0;
  }
  return done;
}

}  // namespace

int main(int argument_count, char** argument_values) {
  if (argument_count == 2 && std::strcmp(argument_values[1], "--version") == 0) {
    std::printf("moored-git %s (libgit2 %s)\n", MOORED_VERSION,
                moored::git::library_version().c_str());
    return 0;
  }
  const auto arguments = read_arguments(argument_count, argument_values);
  if (!arguments) {
    std::fprintf(stderr,
                 "moored-git is started by moored: --mirror DIR [--user UID --group GID]\n");
    return 2;
  }
  if (!give_up_rights(*arguments)) {
    std::perror("moored-git: give up rights");
    return 1;
  }
  // There is no way in but this socket, and its end is the end of the process.
  moored::git::WorkerService service(
      moored::FrameChannel(moored::UniqueFd(kSocket), -1), arguments->mirror);
  const auto status = service.run();
  if (status) return 0;
  moored::log(moored::LogLevel::error, "moored-git ends: " + status.error().text());
  return 1;
}
