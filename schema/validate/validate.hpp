// What is judged beyond single fields: the whole commit, names, policy.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/model/grammar.hpp"
#include "schema/model/object.hpp"

namespace moored {

// Limits and policy that the operator sets; repositories cannot change them.
struct AdmissionPolicy {
  enum class Level { privileged, baseline, restricted };
  Level default_level = Level::baseline;
  std::map<std::string, Level> namespace_levels;
  std::size_t max_objects = 10'000;
  std::int32_t max_replicas = 1'000;
  bool operator==(const AdmissionPolicy&) const = default;
};

// Judges all objects of a commit together: duplicates, claims on one thing by two objects, Pod
// Security, limits. Places are the file and line where the object starts, and the field path.
// Reasons: DuplicateObject, Forbidden, InvalidValue, LimitExceeded.
void validate_commit(const std::vector<Object>& objects, const AdmissionPolicy& policy,
                     Diagnostics& diagnostics);

}  // namespace moored
