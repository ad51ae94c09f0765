// A directory of plain manifests: what stands in the files is what is meant.
#pragma once

#include <string>
#include <vector>

#include "schema/base/error.hpp"

namespace moored::git {

// Refuses directories that want to be rendered first: with a kustomization file the manifests are
// only the input of kustomize, so taking them as they are would apply something else.
// Adds KustomizeNotSupported, or AmbiguousKustomization where one directory has two such files.
void check_plain(const std::vector<std::string>& kustomizations, Diagnostics& diagnostics);

}  // namespace moored::git
