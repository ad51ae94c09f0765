#include "runtime/watch/compare.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "runtime/sys/mount.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::watch {
namespace {

using Remedy = SandboxDrift::Remedy;

constexpr std::uint64_t kSysAdmin = 1ULL << 21U;
constexpr std::size_t kMaxFiles = 20;  // told one by one; more are told with the next look
constexpr std::size_t kMaxText = 1U << 20U;

// "field[container]:subject"
std::string field_of(const std::string& kind, const MadeContainer& made,
                     const std::string& subject = {}) {
  return kind + "[" + made.name + "]" + (subject.empty() ? "" : ":" + subject);
}

Finding make_finding(const MadeContainer& made, std::string field, std::string desired,
                     std::string observed, Remedy remedy) {
  Finding finding;
  finding.drift.container = made.name;
  finding.drift.field = std::move(field);
  finding.drift.desired = std::move(desired);
  finding.drift.observed = std::move(observed);
  finding.drift.remedy = remedy;
  return finding;
}

std::string hex(std::uint64_t value) {
  char text[17];
  const auto end = std::to_chars(text, text + sizeof text, value, 16).ptr;
  return "0x" + std::string(text, end);
}

std::string name_of(const ProcessFacts& process) {
  return process.name + "[" + std::to_string(process.pid) + "] uid " + std::to_string(process.uid);
}

// An intruder is killed; the container's own first process can only be started anew.
Finding make_process_finding(const MadeContainer& made, const ProcessFacts& process,
                             const std::string& kind, std::string desired, std::string observed) {
  const bool first = process.pid == made.pid;
  auto finding = make_finding(made, field_of(kind, made, std::to_string(process.pid)),
                              std::move(desired), std::move(observed),
                              first ? Remedy::restart : Remedy::put_back);
  finding.drift.correction = "killed";
  if (first) return finding;
  finding.put_back = [pid = process.pid, start = process.start_time]() -> Status {
    if (kill_process(pid, start)) return {};
    return fail(Code::denied, "cannot kill process " + std::to_string(pid));
  };
  return finding;
}

// The hierarchies whose group a process is not in, by the directory of the group.
std::vector<std::string> find_left_groups(const std::vector<std::string>& procs_files,
                                          const std::vector<std::vector<pid_t>>& members,
                                          pid_t pid) {
  std::vector<std::string> left;
  for (std::size_t i = 0; i < procs_files.size(); ++i) {
    const auto& pids = members[i];
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) left.push_back(procs_files[i]);
  }
  return left;
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// A process that is not where it belongs, with the files it is missing from.
struct Stray {
  std::string name;
  std::vector<std::string> left;
};
using Strays = std::map<pid_t, Stray>;

// A process that should not be there at all.
struct Intruder {
  pid_t parent = 0;
  Finding finding;
};

// What a moved process starts is born where it was moved to: all of them are one difference. While
// they are moved back, more may be born outside; the next look finds those.
Finding make_membership_finding(const MadeContainer& made, Strays strays) {
  std::vector<std::string> names;
  std::set<std::string> groups;
  for (const auto& [pid, stray] : strays) {
    names.push_back(stray.name);
    groups.insert(stray.left.begin(), stray.left.end());
  }
  auto finding = make_finding(made, field_of("cgroup.procs", made),
                              "every process in the container's groups",
                              join(names) + " not in " +
                                  join({groups.begin(), groups.end()}),
                              Remedy::put_back);
  finding.drift.correction = "moved back";
  finding.put_back = [strays = std::move(strays)]() -> Status {
    Status last;
    for (const auto& [pid, stray] : strays) {
      for (const auto& file : stray.left) {
        auto written = write_file(file, std::to_string(pid));
        const bool ended = !find_process(pid);
        if (!written && !ended) last = std::move(written);
      }
    }
    return last;
  };
  return finding;
}

// What an intruder started came with it: told with it, and killed with it.
void fold_children(std::map<pid_t, Intruder>& intruders, std::vector<Finding>& findings) {
  for (auto& [pid, intruder] : intruders) {
    auto top = intruders.find(intruder.parent);
    if (top == intruders.end() || !intruder.finding.put_back) continue;
    for (auto up = top; up != intruders.end(); up = intruders.find(up->second.parent)) top = up;
    auto& above = top->second.finding.put_back;
    if (!above) continue;
    above = [above, below = std::exchange(intruder.finding.put_back, nullptr)]() -> Status {
      MOORED_CHECK(below());
      return above();
    };
    intruder.finding.drift.field.clear();  // told with the one that came first
  }
  for (auto& [pid, intruder] : intruders) {
    if (!intruder.finding.drift.field.empty()) findings.push_back(std::move(intruder.finding));
  }
}

// Probes and hooks have groups of their own below the container's, while they run.
// Source of the count: kernfs_refresh_inode of the kernel, for both versions.
void add_members_below(const std::string& directory, std::vector<pid_t>& pids) {
  struct stat status {};
  constexpr nlink_t kLinksOfLeaf = 2;  // its name and its own "."; one more for each group below
  if (::stat(directory.c_str(), &status) != 0 || status.st_nlink == kLinksOfLeaf) return;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code unknown;
    if (!at->is_directory(unknown)) continue;
    const auto text = read_file(at->path().string() + "/cgroup.procs", kMaxText);
    for (const pid_t pid : parse_pids(text.value_or(""))) pids.push_back(pid);
  }
}

// What the cgroup files say now; a file that cannot be read belongs to a group that is going.
std::optional<std::vector<std::vector<pid_t>>> read_members(
    const std::vector<std::string>& procs_files) {
  std::vector<std::vector<pid_t>> members;
  for (const auto& file : procs_files) {
    const auto text = read_file(file, kMaxText);
    if (!text) return std::nullopt;
    members.push_back(parse_pids(*text));
    add_members_below(file.substr(0, file.find_last_of('/')), members.back());
  }
  return members;
}

// Leaves those that are still missing now.
void confirm_strays(const MadeContainer& made, Strays& strays) {
  if (strays.empty()) return;
  const auto members = read_members(made.procs_files);
  for (auto it = strays.begin(); it != strays.end();) {
    auto& left = it->second.left;
    left = members && find_process(it->first)
               ? find_left_groups(made.procs_files, *members, it->first)
               : std::vector<std::string>{};
    it = left.empty() ? strays.erase(it) : std::next(it);
  }
}

// Takes up a process and its ancestors, as far as they are not known.
const ProcessFacts* learn(PodProcesses& processes, pid_t pid) {
  constexpr int kMaxAncestors = 64;
  pid_t next = pid;
  for (int i = 0; i < kMaxAncestors && next > 1; ++i) {
    if (processes.roots.count(next) > 0 && next != pid) break;
    auto known = processes.facts.find(next);
    if (known == processes.facts.end()) {
      auto found = find_process(next);
      if (!found) break;
      known = processes.facts.emplace(next, *std::move(found)).first;
    }
    next = known->second.parent;
  }
  const auto found = processes.facts.find(pid);
  return found == processes.facts.end() ? nullptr : &found->second;
}

// A parent that ends while it is looked up leaves its child without an ancestor for a moment, and
// with another one from then on.
bool descends_surely(PodProcesses& processes, pid_t pid) {
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    if (descends_from_roots(processes, pid)) return true;
    processes.facts.clear();
    if (learn(processes, pid) == nullptr) return true;  // it has ended
  }
  return descends_from_roots(processes, pid);
}

// A process that has ended, even one that is not reaped yet, has no namespaces and lost no pin.
bool has_lost_pin(const std::string& source, const std::string& pin) {
  struct stat made {}, kept {};
  if (::stat(source.c_str(), &made) != 0) return false;
  return ::stat(pin.c_str(), &kept) != 0 || made.st_ino != kept.st_ino ||
         made.st_dev != kept.st_dev;
}

// The shim is in the pod's namespaces, so its own entries are what has to be pinned.
Status pin_again(const std::string& source, const std::string& path) {
  MOORED_CHECK(sys::unmount(path));
  if (!path_exists(path)) MOORED_CHECK(write_file(path, "", true));
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return Unexpected(system_error("pin namespace on " + path, errno));
  }
  return {};
}

// Where a hierarchy says that a group is frozen by itself, and what thaws it.
struct FreezerForm {
  const char* state;
  const char* control;
  const char* thawed;
};
constexpr FreezerForm kUnified{"/cgroup.freeze", "/cgroup.freeze", "0"};
constexpr FreezerForm kLegacy{"/freezer.self_freezing", "/freezer.state", "THAWED"};

void compare_freezer(const MadeContainer& made, const std::string& directory,
                     const FreezerForm& form, const std::string& field,
                     std::vector<Finding>& findings) {
  const auto state = read_file(directory + form.state, 64);
  if (!state || state->rfind('1', 0) != 0) return;
  auto finding = make_finding(made, field, "running", "frozen", Remedy::put_back);
  finding.drift.correction = "thawed";
  finding.put_back = [file = directory + form.control, word = std::string(form.thawed)] {
    return write_file(file, word);
  };
  findings.push_back(std::move(finding));
}

}  // namespace

bool descends_from_roots(const PodProcesses& processes, pid_t pid) {
  constexpr int kMaxAncestors = 64;
  for (int i = 0; i < kMaxAncestors && pid > 1; ++i) {
    if (processes.roots.count(pid) > 0) return true;
    const auto known = processes.facts.find(pid);
    if (known == processes.facts.end()) return false;
    pid = known->second.parent;
  }
  return false;
}

// One finding for one process, whatever else is wrong with it: it came by one change.
std::optional<Finding> judge_process(const MadeContainer& made, const ProcessFacts& process,
                                     bool descends, bool same_user_namespace) {
  const auto excess = (process.bounding | process.permitted | process.effective) & ~made.bounding;
  const std::string open = made.filtered && !process.filtered ? ", no seccomp filter" : "";
  const std::string rights = ", capabilities " + hex(process.effective) + open;
  if (!descends) {
    return make_process_finding(made, process, "process", "only what the container started",
                                name_of(process) + rights);
  }
  if (excess != 0 && same_user_namespace) {
    return make_process_finding(made, process, "capabilities", "at most " + hex(made.bounding),
                                name_of(process) + rights);
  }
  if (!open.empty()) {
    return make_process_finding(made, process, "seccomp", "filtered",
                                name_of(process) + ", no seccomp filter");
  }
  if (made.no_new_privileges && !process.no_new_privileges) {
    return make_process_finding(made, process, "noNewPrivileges", "set",
                                name_of(process) + ", not set");
  }
  return std::nullopt;
}

void compare_processes(const MadePod& pod, const MadeContainer& made,
                       const std::vector<pid_t>& in_namespace, PodProcesses& processes,
                       std::vector<Finding>& findings) {
  const auto members = read_members(made.procs_files);
  if (!members) return;
  std::set<pid_t> pids(in_namespace.begin(), in_namespace.end());
  for (const auto& group : *members) pids.insert(group.begin(), group.end());
  std::map<pid_t, Intruder> intruders;
  Strays strays;
  for (const pid_t pid : pids) {
    const auto* facts = learn(processes, pid);
    // Until it becomes its program a probe or hook is the shim's own, with the shim's rights.
    if (facts == nullptr || read_executable(pid) == pod.shim_program) continue;
    const bool descends = descends_surely(processes, pid);
    facts = learn(processes, pid);
    if (facts == nullptr) continue;
    const auto excess = (facts->bounding | facts->permitted | facts->effective) & ~made.bounding;
    const bool same =
        excess == 0 || read_namespace(pid, "user") == read_namespace(pod.shim, "user");
    auto left = find_left_groups(made.procs_files, *members, pid);
    if (left.empty() && !judge_process(made, *facts, descends, same)) continue;
    // Between two reads it may have ended: then nothing of the above means anything.
    const auto again = find_process(pid);
    if (!again || again->start_time != facts->start_time) continue;
    if (auto finding = judge_process(made, *again, descends, same)) {
      intruders.emplace(pid, Intruder{again->parent, *std::move(finding)});
    } else if (!left.empty()) {
      strays.emplace(pid, Stray{name_of(*again), std::move(left)});
    }
  }
  fold_children(intruders, findings);
  // One that was born after the groups were read is not lost: it is asked for once more.
  confirm_strays(made, strays);
  if (!strays.empty()) {
    findings.push_back(make_membership_finding(made, std::move(strays)));
  }
}

// A container that may mount does so by itself: nobody else is to be suspected.
void compare_mount_table(const MadeContainer& made, std::vector<Finding>& findings) {
  if (made.start.mounts.empty() || (made.bounding & kSysAdmin) != 0) return;
  const auto text = read_file("/proc/" + std::to_string(made.pid) + "/mountinfo", kMaxText);
  if (!text || text->empty()) return;
  for (const auto& fault : compare_mounts(made.start.mounts, parse_mounts(*text))) {
    const bool missing = fault.kind == MountFault::Kind::missing;
    auto finding = make_finding(made, field_of("mount", made, fault.place), fault.desired,
                                fault.observed, missing ? Remedy::restart : Remedy::put_back);
    if (!missing) {
      finding.drift.correction =
          fault.kind == MountFault::Kind::extra ? "unmounted" : "options set again";
      finding.put_back = [pid = made.pid, fault] { return put_back_mount(pid, fault); };
    }
    findings.push_back(std::move(finding));
  }
}

void compare_program(const MadeContainer& made, std::vector<Finding>& findings) {
  constexpr std::string_view kDeleted = " (deleted)";
  const auto& start = made.start;
  const auto program = read_executable(made.pid);
  const bool deleted = program == start.program + std::string(kDeleted);
  // A program may become another one by itself; only the file behind the same one is judged.
  if (!start.program.empty() && (deleted || program == start.program)) {
    const auto mark = read_mark_inside(made.pid, start.program);
    if (deleted || (mark && *mark != start.program_mark)) {
      findings.push_back(make_finding(
          made, field_of("executable", made),
          start.program + ", " + std::to_string(start.program_mark.size) + " bytes",
          !mark || mark->size < 0 ? "deleted"
                                  : "exchanged, " + std::to_string(mark->size) + " bytes",
          Remedy::restart));
    }
  }
  const auto score = read_file("/proc/" + std::to_string(made.pid) + "/oom_score_adj", 64);
  int value = start.oom_score_adjust;
  if (score) std::from_chars(score->data(), score->data() + score->size(), value);
  if (!start.mounts.empty() && value != start.oom_score_adjust) {
    auto finding = make_finding(made, field_of("oomScoreAdjust", made),
                                std::to_string(start.oom_score_adjust), std::to_string(value),
                                Remedy::put_back);
    finding.drift.correction = "written again";
    finding.put_back = [file = "/proc/" + std::to_string(made.pid) + "/oom_score_adj",
                        text = std::to_string(start.oom_score_adjust)] {
      return write_file(file, text);
    };
    findings.push_back(std::move(finding));
  }
  if (made.frozen_root.empty()) return;
  for (const auto& file :
       find_changed_files(made.frozen_root, made.started_micros, kMaxFiles)) {
    findings.push_back(make_finding(made, field_of("root", made, file.path), "as it was started",
                                    file.what, Remedy::restart));
  }
}

// The group of the container and the pod's above it.
void compare_freezers(const MadeContainer& made, std::vector<Finding>& findings) {
  for (const auto& [directory, form] : {std::pair(made.group, kUnified),
                                        std::pair(made.freezer, kLegacy)}) {
    if (directory.empty()) continue;
    compare_freezer(made, directory, form, field_of("cgroup.freeze", made), findings);
    const auto pod = directory.substr(0, directory.find_last_of('/'));
    const auto before = findings.size();
    compare_freezer(made, pod, form, "cgroup.freeze", findings);
    for (std::size_t i = before; i < findings.size(); ++i) findings[i].drift.container.clear();
  }
}

void compare_pins(const MadePod& pod, std::vector<Finding>& findings) {
  for (const auto& pin : pod.pins) {
    const std::string source = "/proc/" + std::to_string(pod.shim) + "/ns/" + pin.kind;
    if (!has_lost_pin(source, pin.path)) continue;
    Finding finding;
    finding.drift.field = "namespace:" + pin.kind;
    finding.drift.desired = "pinned on " + pin.path;
    finding.drift.observed = "not pinned";
    finding.drift.remedy = Remedy::put_back;
    finding.drift.correction = "pinned again";
    finding.put_back = [source, path = pin.path] { return pin_again(source, path); };
    findings.push_back(std::move(finding));
  }
}

}  // namespace moored::watch
