#include "runtime/watch/hints.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/watch/process_facts.hpp"
#include "schema/base/log.hpp"

namespace moored::watch {
namespace {

constexpr std::uint64_t kWrites = 0;
constexpr std::size_t kMaxHints = 256;  // more at once say no more than "look at everything"

std::string path_behind(int fd) {
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const auto size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() &&
         text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::string find_pod_uid(const std::string& path) {
  constexpr std::string_view kGroup = "/pod";
  for (auto at = path.find(kGroup); at != std::string::npos; at = path.find(kGroup, at + 1)) {
    const auto begin = at + kGroup.size();
    const auto end = std::min(path.find('/', begin), path.size());
    const std::string word = path.substr(begin, end - begin);
    // Uids have four dashes; "/pods" and "/pod-info" have not.
    if (std::count(word.begin(), word.end(), '-') == 4 && word.size() == 36) return word;
  }
  return {};
}

bool is_telling_path(const std::string& path) {
  const bool membership = ends_with(path, "/cgroup.procs") || ends_with(path, "/tasks") ||
                          ends_with(path, "/cgroup.threads");
  return membership == find_pod_uid(path).empty();
}

Hints::Hints() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) return;
  writes_.reset(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                                O_RDONLY | O_CLOEXEC | O_LARGEFILE));
  if (!writes_) {
    log(LogLevel::info, "changes of cgroup files are found by the sweep only",
        {{"error", std::strerror(errno)}});
    return;
  }
  if (!add(writes_.get(), kWrites, EPOLLIN)) writes_.reset();
  // Pins of namespaces are mounts of our own.
  watch_mounts({}, {}, ::getpid());
}

bool Hints::add(int fd, std::uint64_t token, unsigned events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// One mark for each hierarchy, whatever number of groups is in it.
void Hints::watch_hierarchies(const std::vector<std::string>& procs_files) {
  if (!writes_) return;
  for (const auto& file : procs_files) {
    const auto directory = file.substr(0, file.find_last_of('/'));
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) continue;
    if (!marked_.insert(status.st_dev).second) continue;
    if (::fanotify_mark(writes_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD,
                        directory.c_str()) != 0) {
      log(LogLevel::info, "changes of this hierarchy are found by the sweep only",
          {{"directory", directory}, {"error", std::strerror(errno)}});
    }
  }
}

void Hints::watch_mounts(const std::string& uid, const std::string& container, pid_t pid) {
  forget_mounts(uid, container);
  const std::string path = "/proc/" + std::to_string(pid) + "/mountinfo";
  Table table{uid, container, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC))};
  if (!table.fd) return;
  const auto token = next_token_++;
  // Edge triggered: the table's file stays in its state of error until it is read.
  if (!add(table.fd.get(), token, EPOLLPRI | EPOLLET)) return;
  tables_.emplace(token, std::move(table));
}

void Hints::forget_mounts(const std::string& uid, const std::string& container) {
  for (auto it = tables_.begin(); it != tables_.end();) {
    const bool same = it->second.uid == uid && it->second.container == container;
    it = same ? tables_.erase(it) : std::next(it);
  }
}

// A shim, or what a shim has just started: a container enters its groups by itself, and may have
// become its program since.
bool Hints::is_of_shim(pid_t pid) const {
  if (shim_program_.empty() || read_executable(pid) == shim_program_) return true;
  const auto facts = find_process(pid);
  return facts && read_executable(facts->parent) == shim_program_;
}

// Our own writes, and those of shims that place a new process, are known.
void Hints::take_writes(std::vector<WatchHint>& hints) {
  alignas(fanotify_event_metadata) std::array<char, 16384> buffer{};
  for (;;) {
    auto size = ::read(writes_.get(), buffer.data(), buffer.size());
    if (size <= 0) return;
    const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer.data());
    for (; FAN_EVENT_OK(event, size); event = FAN_EVENT_NEXT(event, size)) {
      if ((event->mask & FAN_Q_OVERFLOW) != 0) hints.push_back({});
      if (event->fd < 0) continue;
      const UniqueFd fd(event->fd);
      if (event->pid == ::getpid() || hints.size() >= kMaxHints) continue;
      const auto path = path_behind(fd.get());
      if (!is_telling_path(path) || is_of_shim(event->pid)) continue;
      hints.push_back({find_pod_uid(path), describe_process(event->pid)});
    }
  }
}

std::vector<WatchHint> Hints::take(bool& mounts_changed) {
  std::vector<WatchHint> hints;
  if (!epoll_) return hints;
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const auto token = events[static_cast<std::size_t>(i)].data.u64;
    if (token == kWrites) {
      take_writes(hints);
    } else if (const auto table = tables_.find(token); table != tables_.end()) {
      if (table->second.uid.empty()) {
        mounts_changed = true;
      } else {
        hints.push_back({table->second.uid, {}});
      }
    }
  }
  return hints;
}

}  // namespace moored::watch
