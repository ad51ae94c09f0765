#include "runtime/watch/mount_table.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <thread>
#include <utility>

#include "runtime/sys/mount.hpp"
#include "runtime/sys/process.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::watch {
namespace {

std::vector<std::string> split(std::string_view text, char border) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(border, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The kernel writes space, tab, line end and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string describe(const MountRow& row) {
  return row.type + " " + row.options;
}

bool has_option(const std::string& options, std::string_view word) {
  const auto words = split(options, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

using Place = std::pair<std::string, int>;  // the n-th mount at a path
std::map<Place, const MountRow*> by_place(const std::vector<MountRow>& rows) {
  std::map<Place, const MountRow*> out;
  std::map<std::string, int> count;
  for (const auto& row : rows) out[{row.place, count[row.place]++}] = &row;
  return out;
}

// The parent is opened without following links and stays what it is: nobody inside can make us
// unmount something else by exchanging names.
Status unmount_at(int root, const std::string& place) {
  const auto slash = place.find_last_of('/');
  const std::string parent = slash == 0 ? "/" : place.substr(0, slash);
  MOORED_TRY(const auto directory, sys::open_without_links(root, parent, O_PATH | O_DIRECTORY));
  if (::fchdir(directory.get()) != 0) {
    return Unexpected(system_error("enter " + parent, errno));
  }
  return sys::unmount("./" + place.substr(slash + 1));
}

Status change_at(int root, const std::string& place, const std::string& options) {
  MOORED_TRY(const auto mount, sys::open_without_links(root, place, O_PATH));
  sys::MountFlags flags;
  flags.read_only = has_option(options, "ro");
  flags.no_suid = has_option(options, "nosuid");
  flags.no_dev = has_option(options, "nodev");
  flags.no_exec = has_option(options, "noexec");
  return sys::replace_mount_flags(mount.get(), flags);
}

// Runs in a thread of its own: only one that shares its working directory with nobody may change
// its mount namespace.
Status put_back_inside(int space, const MountFault& fault) {
  MOORED_CHECK(sys::unshare_namespaces(CLONE_FS));
  MOORED_CHECK(sys::join_namespaces(space, CLONE_NEWNS));
  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Unexpected(system_error("open the container's root", errno));
  if (fault.kind == MountFault::Kind::extra) return unmount_at(root.get(), fault.place);
  return change_at(root.get(), fault.place, fault.desired.substr(fault.desired.find(' ') + 1));
}

}  // namespace

std::vector<MountRow> parse_mounts(std::string_view mountinfo) {
  std::vector<MountRow> rows;
  for (const auto& line : split(mountinfo, '\n')) {
    // "id parent device root place options [tags…] - type source settings"
    const auto words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (dash == words.end() || dash - words.begin() < 6 || words.end() - dash < 2) continue;
    rows.push_back({unescape(words[4]), words[5], dash[1], words[2], unescape(words[3])});
  }
  return rows;
}

std::string format_mount(const MountRow& row) {
  std::string line;
  for (const auto* part : {&row.place, &row.options, &row.type, &row.device, &row.root}) {
    line += (line.empty() ? "" : "\n") + *part;
  }
  return line;
}

MountRow parse_mount(const std::string& line) {
  const auto parts = split(line, '\n');
  if (parts.size() != 5) return {};
  return {parts[0], parts[1], parts[2], parts[3], parts[4]};
}

std::vector<MountFault> compare_mounts(const std::vector<MountRow>& wanted,
                                       const std::vector<MountRow>& found) {
  using Kind = MountFault::Kind;
  std::vector<MountFault> faults;
  const auto before = by_place(wanted);
  const auto now = by_place(found);
  for (const auto& [place, row] : before) {
    const auto other = now.find(place);
    if (other == now.end()) {
      faults.push_back({Kind::missing, place.first, describe(*row), "not mounted"});
    } else if (other->second->device != row->device || other->second->root != row->root) {
      faults.push_back({Kind::missing, place.first, describe(*row),
                        "something else: " + describe(*other->second)});
    } else if (!(*other->second == *row)) {
      faults.push_back({Kind::changed, place.first, describe(*row), describe(*other->second)});
    }
  }
  for (const auto& [place, row] : now) {
    if (before.count(place) > 0) continue;
    faults.push_back({Kind::extra, place.first, "nothing mounted", describe(*row)});
  }
  return faults;
}

Status put_back_mount(pid_t pid, const MountFault& fault) {
  if (fault.kind == MountFault::Kind::missing) {
    return fail(Code::invalid, "what is unmounted cannot be mounted again from outside");
  }
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/mnt";
  const UniqueFd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return Unexpected(system_error("open " + path, errno));
  Status status;
  std::thread([&] { status = put_back_inside(space.get(), fault); }).join();
  return status;
}

}  // namespace moored::watch
