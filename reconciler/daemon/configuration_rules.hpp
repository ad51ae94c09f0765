// What the file and the flags of the configuration are judged by alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/api/transport.hpp"
#include "schema/base/error.hpp"
#include "schema/base/result.hpp"

namespace moored {

// One reason for flags and file alike: ConfigInvalid.
Error bad_setting(std::string message, std::string fix = {});
struct LimitsSetting;
// The limits of the file over the defaults. Errors: invalid (two that contradict each other).
Result<net::api::TransportLimits> merge_limits(const LimitsSetting& setting);
// The three levels of the Pod Security Standards.
std::optional<Error> check_security_level(std::string_view text);

}  // namespace moored
