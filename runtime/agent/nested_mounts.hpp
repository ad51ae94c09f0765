// Mounts that lie below another volume of the same container. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/model/pod.hpp"

namespace moored::agent {

// What is mounted inside of a volume, and where: /etc/app/certs with the volume at /etc/app.
struct NestedMount {
  std::string path;            // below the volume, such as certs
  const VolumeMount* mount;    // of the pod that was given
};

// The mounts right below a volume, of all containers of the pod; not those below another mount in
// between. A volume that is mounted by a part of it has none: what lies there is not ours to make.
std::vector<NestedMount> find_nested_mounts(const Pod& pod, const std::string& volume);

}  // namespace moored::agent
