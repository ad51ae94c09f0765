// A pod's own namespaces and file systems on the host.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::container {

// Makes new namespaces of the kinds ("ipc", "uts") on a thread of its own and pins each as a file
// of that name in directory. hostname is set in a new uts namespace, if not empty.
Status make_namespaces(const std::string& directory, const std::vector<std::string>& kinds,
                       const std::string& hostname);
// Unmounts the pins. Missing ones are success.
Status drop_namespaces(const std::string& directory, const std::vector<std::string>& kinds);
// Unmounts whatever is pinned in directory, for who does not know the kinds any more.
Status drop_pins(const std::string& directory);
// Writes "name=value" settings inside the pod's network and ipc namespaces.
// Errors: not_found (the kernel has no such setting), invalid (it refuses the value).
Status write_sysctls(const std::string& directory, const std::string& net_namespace,
                     const std::vector<std::string>& settings);
// The pod's /dev/shm: a tmpfs of 64 MiB, mode 1777.
Status mount_shared_memory(const std::string& path);

// Makes run-dir a tmpfs of its own with private propagation, unless it is a mount already; keeps
// what is in it when it lies on a tmpfs. To be called before anything is put there.
Status prepare_run_dir(const std::string& path);
// Unmounts it again, when no pod is left.
Status release_run_dir(const std::string& path);

}  // namespace moored::container
