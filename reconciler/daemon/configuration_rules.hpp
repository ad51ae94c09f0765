// What the file and the flags of the configuration are judged by alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/base/error.hpp"

namespace moored {

// One reason for flags and file alike: ConfigInvalid.
Error bad_setting(std::string message, std::string fix = {});
// The three levels of the Pod Security Standards.
std::optional<Error> check_security_level(std::string_view text);

}  // namespace moored
