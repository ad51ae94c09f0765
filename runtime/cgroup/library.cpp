#include "runtime/cgroup/library.hpp"

#include <libcgroup.h>

#include <array>
#include <cerrno>
#include <memory>
#include <mutex>

namespace moored::cgroup {
namespace {

// One lock around everything: parts of the library look at its table without one.
std::mutex& library_lock() {
  static std::mutex lock;
  return lock;
}

// ECGOTHER hides the real error in a variable of the thread.
Unexpected failed(const std::string& what, int code) {
  if (code == ECGOTHER) return Unexpected(system_error(what, cgroup_get_last_errno()));
  const Code kind = code == ECGROUPNOTALLOWED                                 ? Code::denied
                    : code == ECGROUPNOTEXIST || code == ECGROUPVALUENOTEXIST ? Code::not_found
                    : code == ECGROUPNOTMOUNTED || code == ECGROUPSUBSYSNOTMOUNTED
                        ? Code::unavailable
                        : Code::internal;
  return fail(kind, what + ": " + cgroup_strerror(code));
}

// Reads the mount table, once. The caller holds the lock.
Status ready() {
  static const int kCode = cgroup_init();
  if (kCode != 0) return failed("read cgroup mounts", kCode);
  return {};
}

struct FreeGroup {
  void operator()(struct cgroup* group) const { cgroup_free(&group); }
};
using Group = std::unique_ptr<struct cgroup, FreeGroup>;

Result<Group> new_group(const std::string& path) {
  Group group(cgroup_new_cgroup(path.c_str()));
  if (!group) return fail(Code::exhausted, "no memory for cgroup " + path);
  return group;
}

}  // namespace

Result<std::vector<Mounted>> read_controllers() {
  const std::lock_guard lock(library_lock());
  MOORED_CHECK(ready());
  std::vector<Mounted> mounted;
  void* handle = nullptr;
  cgroup_mount_point entry{};
  int code = cgroup_get_controller_begin(&handle, &entry);
  while (code == 0) {
    mounted.push_back({entry.name, entry.path});
    code = cgroup_get_controller_next(&handle, &entry);
  }
  cgroup_get_controller_end(&handle);
  if (code != ECGEOF) return failed("list cgroup controllers", code);
  return mounted;
}

// ignore_ownership: the groups are ours, the library must not chown them to whoever started us.
Status make_group(const std::string& path, const std::vector<std::string>& controllers) {
  const std::lock_guard lock(library_lock());
  MOORED_CHECK(ready());
  MOORED_TRY(const auto group, new_group(path));
  for (const auto& controller : controllers) {
    if (cgroup_add_controller(group.get(), controller.c_str()) == nullptr) {
      return fail(Code::internal, "cgroup " + path + ": cannot use controller " + controller);
    }
  }
  const int code = cgroup_create_cgroup(group.get(), 1);
  if (code != 0) return failed("make cgroup " + path, code);
  return {};
}

Status set_values(const std::string& path, const std::vector<Setting>& settings) {
  if (settings.empty()) return {};
  const std::lock_guard lock(library_lock());
  MOORED_CHECK(ready());
  MOORED_TRY(const auto group, new_group(path));
  for (const auto& setting : settings) {
    auto* part = cgroup_get_controller(group.get(), setting.controller.c_str());
    if (part == nullptr) part = cgroup_add_controller(group.get(), setting.controller.c_str());
    if (part == nullptr || cgroup_add_value_string(part, setting.file.c_str(),
                                                   setting.value.c_str()) != 0) {
      return fail(Code::internal, "cgroup " + path + ": cannot set " + setting.file);
    }
  }
  const int code = cgroup_modify_cgroup(group.get());
  if (code == 0) return {};
  std::string wanted;
  for (const auto& setting : settings) wanted += " " + setting.file + "=" + setting.value;
  return failed("set" + wanted + " of cgroup " + path, code);
}

Result<std::string> get_value(const std::string& path, const std::string& controller,
                              const std::string& file) {
  const std::lock_guard lock(library_lock());
  MOORED_CHECK(ready());
  void* handle = nullptr;
  std::array<char, 4096> line{};
  std::string name = file;  // the library takes a pointer that is not const
  const int code = cgroup_read_value_begin(controller.c_str(), path.c_str(), name.data(), &handle,
                                           line.data(), static_cast<int>(line.size()));
  if (handle != nullptr) cgroup_read_value_end(&handle);
  if (code != 0 && code != ECGEOF) return failed("read " + file + " of cgroup " + path, code);
  std::string text(line.data());
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

}  // namespace moored::cgroup
