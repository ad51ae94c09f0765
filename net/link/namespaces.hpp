// Network namespaces: made by a short-lived thread, pinned by a bind mount, entered by threads.
#pragma once

#include <functional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::net {

// Makes a network namespace and pins it on a file, which is created (its directory must exist).
// inside runs in the new namespace before it is pinned, so that a pin means a prepared namespace.
// Cost: about half a millisecond. Errors: conflict (already pinned), denied, exhausted.
Status make_namespace(const std::string& pin, const std::function<Status()>& inside);
// Opens a pinned namespace. Errors: not_found (no pin, or a file that pins nothing).
Result<UniqueFd> open_namespace(const std::string& pin);
// Runs a function on a thread of its own inside a network namespace and waits for it.
Status run_inside(int network_namespace, const std::function<Status()>& inside);
// Runs a function on a thread of its own in a network namespace that is empty and ends with it.
Status run_in_empty_namespace(const std::function<Status()>& inside);
// Unpins; the kernel destroys the namespace once its last process is gone. Missing is success.
Status remove_pin(const std::string& pin);
// Locks the calling thread's network namespace against other instances of moored, as long as the
// descriptor lives. Blocks; holders keep it for a few milliseconds.
// Source: flock(2) on the inode that nsfs keeps for each namespace.
Result<UniqueFd> lock_namespace();
// Sets a value below /proc/sys/net of the calling thread's network namespace.
// Errors: not_found (the kernel does not have it), denied.
Status write_sysctl(const std::string& path, const std::string& value);
Result<std::string> read_sysctl(const std::string& path);

}  // namespace moored::net
