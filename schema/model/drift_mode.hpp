// What is to be done when the kernel has something else than what was asked for.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace moored {

enum class DriftMode {
  off,      // not looked at, not told
  report,   // told once when it begins and once when it is over
  correct,  // told and put right
};

// Says it for one object: a Pod, by way of its template, or a Service.
inline constexpr std::string_view kDriftAnnotation = "moored.dev/drift";

// off, report or correct; nothing for any other word.
std::optional<DriftMode> find_drift_mode(std::string_view word);
// The annotation's word, or else the fallback.
DriftMode get_drift_mode(const std::map<std::string, std::string>& annotations,
                         DriftMode fallback);

}  // namespace moored
