// A pod's own namespaces and file systems on the host.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::container {

// Writes "name=value" settings inside the network and ipc namespaces of a pod's shim, on a thread
// of its own. Errors: not_found (no such setting, no shim), invalid (the kernel refuses the value).
Status write_sysctls(const std::string& pod_directory, const std::vector<std::string>& settings);
// The pod's /dev/shm: a tmpfs of 64 MiB, mode 1777.
Status mount_shared_memory(const std::string& path);

// Makes run-dir a tmpfs of its own with private propagation, unless it is a mount already; keeps
// what is in it when it lies on a tmpfs. To be called before anything is put there.
Status prepare_run_dir(const std::string& path);
// Unmounts it again, when no pod is left.
Status release_run_dir(const std::string& path);

}  // namespace moored::container
