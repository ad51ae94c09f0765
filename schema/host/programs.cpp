#include "schema/host/programs.hpp"

#include <unistd.h>

#include <climits>

#include "schema/host/file.hpp"

namespace moored {

std::string find_program(const std::string& name, const std::string& libexec_dir) {
  if (!libexec_dir.empty()) return libexec_dir + "/" + name;
  std::string self(PATH_MAX, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", self.data(), self.size());
  if (size > 0) {
    self.resize(static_cast<std::size_t>(size));
    auto beside = self.substr(0, self.rfind('/') + 1) + name;
    if (path_exists(beside)) return beside;
  }
  return "/usr/libexec/moored/" + name;
}

}  // namespace moored
