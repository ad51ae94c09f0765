#include "schema/model/drift_mode.hpp"

namespace moored {

std::optional<DriftMode> find_drift_mode(std::string_view word) {
  if (word == "off") return DriftMode::off;
  if (word == "report") return DriftMode::report;
  if (word == "correct") return DriftMode::correct;
  return std::nullopt;
}

// A wrong word was refused with its commit; one of an older store must not switch anything off.
DriftMode get_drift_mode(const std::map<std::string, std::string>& annotations,
                         DriftMode fallback) {
  const auto found = annotations.find(std::string(kDriftAnnotation));
  if (found == annotations.end()) return fallback;
  return find_drift_mode(found->second).value_or(fallback);
}

}  // namespace moored
