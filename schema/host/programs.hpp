// Where moored's own worker programs lie.
#pragma once

#include <string>

namespace moored {

// libexec_dir/NAME if a directory is given, else NAME beside the running program (a build tree),
// else /usr/libexec/moored/NAME. The file need not exist.
std::string find_program(const std::string& name, const std::string& libexec_dir = {});

}  // namespace moored
