// Rights of the calling process, one system call each: ids, capabilities, no_new_privs, seccomp,
// limits. What a process does with them is the shim's order, or a worker's jail.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::rights {

// The capabilities this kernel knows, as bits.
Result<std::uint64_t> read_known_capabilities();
// The capabilities this thread may use and hand on (permitted and bounding).
Result<std::uint64_t> read_own_capabilities();
// Removes everything outside keep from the bounding set. Cannot be undone.
Status limit_bounding_set(std::uint64_t keep);
// Sets permitted and effective; inheritable and ambient become empty.
Status set_capabilities(std::uint64_t permitted, std::uint64_t effective);
// Changes supplementary groups, gid and uid, keeping permitted capabilities until they are set;
// reads the ids back and fails when they are not what was asked for.
Status set_ids(std::uint32_t uid, std::uint32_t gid, const std::vector<std::uint32_t>& groups);
// Sets a resource limit, soft and hard, to the value, whatever this process inherited. Where its
// hard limit is lower and cannot be raised (no CAP_SYS_RESOURCE; open files: not beyond
// fs.nr_open), to that. Known names, in the words of limits.conf: nofile, nproc, core, as and fsize
// (bytes), cpu (seconds). Errors: invalid (another name).
Status set_limit(const std::string& name, std::uint64_t value);
// From here on no program gains rights by being executed.
Status set_no_new_privileges();
// Loads a seccomp program: an array of struct sock_filter as bytes.
// Errors: invalid (no whole instructions), denied (neither CAP_SYS_ADMIN nor no_new_privs).
Status load_seccomp(std::string_view program);
// Joins a fresh session keyring, so that the parent's keys are out of reach. A kernel without
// keyrings is success.
Status join_new_keyring();
// Keeps others from tracing this process or reading its descriptors while it is privileged.
Status set_dumpable(bool dumpable);

}  // namespace moored::rights
