#include "runtime/shim/entrance.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace moored::shim {

Result<std::vector<UniqueFd>> open_entrances(const std::vector<std::string>& tasks_files) {
  std::vector<UniqueFd> entrances;
  for (const auto& path : tasks_files) {
    entrances.emplace_back(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!entrances.back()) return Unexpected(system_error("open " + path, errno));
  }
  return entrances;
}

// 0 means the writer itself.
Status enter_group(int entrance) {
  if (::write(entrance, "0", 1) != 1) return Unexpected(system_error("enter cgroup", errno));
  return {};
}

}  // namespace moored::shim
