#include "runtime/watch/process_facts.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <memory>

#include "runtime/sys/process.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

namespace moored::watch {
namespace {

constexpr std::size_t kMaxText = 16U << 10U;
// PF_EXITING of the kernel's linux/sched.h.
constexpr std::uint64_t kExiting = 4;

// What is no number at all reads as 0, as an absent line does.
std::uint64_t number_in(std::string_view text, int base) {
  const auto begin = text.find_first_not_of(" \t");
  std::uint64_t value = 0;
  if (begin == std::string_view::npos) return value;
  text.remove_prefix(begin);
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// The rest of the line "Name:\t…" of /proc/PID/status.
std::string_view line_of(std::string_view status, std::string_view name) {
  for (std::size_t at = 0; at < status.size();) {
    const auto end = std::min(status.find('\n', at), status.size());
    const auto line = status.substr(at, end - at);
    if (line.size() > name.size() && line.substr(0, name.size()) == name &&
        line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
    at = end + 1;
  }
  return {};
}

// Field n of stat, counted from 3 behind the name, which may hold anything.
std::string_view field_of(std::string_view behind_name, int number) {
  std::size_t at = 0;
  for (int i = 3; i < number; ++i) {
    at = behind_name.find(' ', at);
    if (at == std::string_view::npos) return {};
    ++at;
  }
  return behind_name.substr(at, behind_name.find(' ', at) - at);
}

std::string path_of(pid_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

std::optional<ProcessFacts> parse_process(std::string_view stat, std::string_view status) {
  const auto open = stat.find('(');
  const auto close = stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      close + 2 > stat.size() || status.empty()) {
    return std::nullopt;
  }
  const auto rest = stat.substr(close + 2);
  ProcessFacts facts;
  facts.pid = static_cast<pid_t>(number_in(stat.substr(0, open), 10));
  facts.name = std::string(stat.substr(open + 1, close - open - 1));
  facts.parent = static_cast<pid_t>(number_in(field_of(rest, 4), 10));
  facts.start_time = number_in(field_of(rest, 22), 10);
  facts.ending = (number_in(field_of(rest, 9), 10) & kExiting) != 0;
  facts.uid = static_cast<std::uint32_t>(number_in(line_of(status, "Uid"), 10));
  facts.permitted = number_in(line_of(status, "CapPrm"), 16);
  facts.effective = number_in(line_of(status, "CapEff"), 16);
  facts.bounding = number_in(line_of(status, "CapBnd"), 16);
  facts.no_new_privileges = number_in(line_of(status, "NoNewPrivs"), 10) != 0;
  facts.filtered = number_in(line_of(status, "Seccomp"), 10) != 0;
  if (facts.pid <= 0 || facts.start_time == 0) return std::nullopt;
  return facts;
}

// A zombie has ended: nobody can do anything with it any more.
std::optional<ProcessFacts> find_process(pid_t pid) {
  const auto stat = read_file(path_of(pid, "stat"), kMaxText);
  const auto status = read_file(path_of(pid, "status"), kMaxText);
  if (!stat || !status) return std::nullopt;
  if (line_of(*status, "State").find('Z') != std::string_view::npos) return std::nullopt;
  auto facts = parse_process(*stat, *status);
  return facts && facts->ending ? std::nullopt : std::move(facts);
}

std::string describe_process(pid_t pid) {
  const auto facts = find_process(pid);
  const std::string number = "[" + std::to_string(pid) + "]";
  if (!facts) return "a process that has ended " + number;
  return facts->name + number + " uid " + std::to_string(facts->uid);
}

ino_t read_namespace(pid_t pid, const char* kind) {
  struct stat status {};
  const std::string path = path_of(pid, "ns/") + kind;
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::map<ino_t, std::vector<pid_t>> read_pid_namespaces() {
  std::map<ino_t, std::vector<pid_t>> found;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir("/proc"));
  if (!directory) return found;
  while (const dirent* entry = ::readdir(directory.get())) {
    const auto pid = static_cast<pid_t>(number_in(entry->d_name, 10));
    if (pid <= 0) continue;
    if (const ino_t inode = read_namespace(pid, "pid"); inode != 0) found[inode].push_back(pid);
  }
  return found;
}

std::vector<pid_t> parse_pids(std::string_view text) {
  std::vector<pid_t> pids;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto pid = static_cast<pid_t>(number_in(text.substr(at, end - at), 10));
    if (pid > 0) pids.push_back(pid);
    at = end + 1;
  }
  return pids;
}

std::string read_executable(pid_t pid) {
  std::array<char, 4096> target{};
  const auto size = ::readlink(path_of(pid, "exe").c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

// The start time is read after the descriptor was opened: then both mean the same process.
bool kill_process(pid_t pid, std::uint64_t start_time) {
  const auto pidfd = open_pidfd(pid);
  if (!pidfd) return true;
  const auto now = read_start_time(pid);
  if (!now || *now != start_time) return true;
  const auto sent = sys::send_signal(pidfd->get(), SIGKILL);
  return sent || sent.error().code == Code::not_found;
}

}  // namespace moored::watch
