// What is mounted into a container: its volumes and the pod's /etc files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/agent/volumes.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// Mounts in order of depth, parents before children. environment expands subPathExpr. Missing
// directories of a subPath are made.
// Errors: reason CreateContainerConfigError (unknown volume, subPath that leaves its volume).
Result<std::vector<Mount>> make_mounts(const Pod& pod, const Container& container,
                                       const VolumePlaces& places, const std::string& etc_directory,
                                       const std::map<std::string, std::string>& environment);

// Adds what the image declares as VOLUME and no volume of the pod takes the place of: each stays
// writable for the life of the container, also when its root does not.
void add_image_volumes(const std::vector<std::string>& volumes, std::vector<Mount>& mounts);

}  // namespace moored::agent
