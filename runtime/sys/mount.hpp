// Mounts and paths by descriptor: nothing is resolved twice, nothing leaves its root.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::sys {

// What a mount allows. A bit that is set restricts.
struct MountFlags {
  bool read_only = false;
  bool no_suid = false;
  bool no_dev = false;
  bool no_exec = false;
  bool strict_atime = false;
  bool operator==(const MountFlags&) const = default;
};

// How mounts made elsewhere reach this one.
enum class Propagation { keep, rprivate, rslave, rshared };

// One setting of a new file system; an empty value is a flag.
using MountOption = std::pair<std::string, std::string>;

// Makes a file system that is attached nowhere yet. Needs CAP_SYS_ADMIN.
// Errors: not_found (the kernel lacks the type), denied, invalid (an option, named in the text).
Result<UniqueFd> make_mount(const std::string& type, const std::vector<MountOption>& options,
                            const MountFlags& flags);
// Clones the mount at (directory, path) into a detached one; path "" means the descriptor itself.
// The clone pins what is there now: later exchanges of names have no effect.
Result<UniqueFd> clone_mount(int directory, const std::string& path, bool recursive);
// Changes a mount, or with recursive the tree below it.
Status set_mount(int mount, const MountFlags& flags, Propagation propagation, bool recursive);
// Makes one mount allow exactly what the flags say: what they do not restrict is allowed again.
Status replace_mount_flags(int mount, const MountFlags& flags);
// Attaches a detached mount onto an opened directory or file.
Status attach_mount(int mount, int target);
// Unmounts what is mounted at a path, now for new users and later for present ones (MNT_DETACH).
// Not mounted is success.
Status unmount(const std::string& path);
// Whether the path is the root of a mount.
Result<bool> is_mount_point(const std::string& path);
// Changes how mount events reach the whole tree below path.
Status set_propagation(const std::string& path, Propagation propagation);
// Makes the directory the root of this mount namespace and drops the old one. Never chroot.
// Source: pivot_root(2), "pivot_root(".", ".")".
Status pivot_into(int root);

// Opens a path inside root as if root were /, with no magic links (RESOLVE_IN_ROOT).
// Errors: not_found, invalid (a link loop or a magic link), not reachable outside root.
Result<UniqueFd> open_in_root(int root, const std::string& path, int flags);
// The same, but no symbolic link at all is followed.
Result<UniqueFd> open_without_links(int root, const std::string& path, int flags);
// Opens a path that must stay beneath root, on the same mount; links may not leave it.
Result<UniqueFd> open_beneath(int root, const std::string& path, int flags);
// Opens the directory (or, with file, the regular file) at path inside root, making what is
// missing component by component. Result: O_PATH descriptor.
Result<UniqueFd> make_in_root(int root, const std::string& path, bool file, unsigned mode);
// The same below root, on its mount, where links may not leave it: for sub-paths of volumes.
Result<UniqueFd> make_beneath(int root, const std::string& path, unsigned mode);
// The lexical parts of a path without empty ones and "."; ".." is an error (invalid).
Result<std::vector<std::string>> split_inside(const std::string& path);

}  // namespace moored::sys
