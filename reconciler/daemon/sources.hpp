// The operator's own source as objects: a GitRepository and a Kustomization named default.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "reconciler/daemon/configuration.hpp"
#include "schema/model/object.hpp"

namespace moored {

inline constexpr const char* kSystemNamespace = "moored-system";
inline constexpr const char* kDefaultName = "default";
inline constexpr const char* kGitUser = "moored-git";

// What the configuration declares, without provenance: nothing prunes it. Empty without --git.
std::vector<Object> configured_objects(const Configuration& configuration);

// The uid and gid of the user that Git workers run as. Nothing, after a warning in the log, when
// none is configured and the machine has no kGitUser.
// Errors: invalid (ConfigInvalid: the configured user is not there, or is root), unavailable.
Result<std::optional<std::pair<unsigned, unsigned>>> find_git_user(
    const Configuration& configuration);

}  // namespace moored
