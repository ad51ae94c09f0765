// The operator's own source as objects: a GitRepository and a Kustomization named default.
#pragma once

#include <vector>

#include "reconciler/daemon/configuration.hpp"
#include "schema/model/object.hpp"

namespace moored {

inline constexpr const char* kSystemNamespace = "moored-system";
inline constexpr const char* kDefaultName = "default";

// What the configuration declares, without provenance: nothing prunes it. Empty without --git.
std::vector<Object> configured_objects(const Configuration& configuration);

}  // namespace moored
