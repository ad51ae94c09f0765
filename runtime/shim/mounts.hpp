// The child's mounts: each made detached, then attached onto a descriptor inside the root.
#pragma once

#include <vector>

#include "runtime/shim/step.hpp"
#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// Mounts the image's layers with a writable directory on top. The directories are opened here and
// not by the shim: the kernel takes only those of the child's own mount namespace. Result: the
// root, O_PATH. Source: Documentation/filesystems/overlayfs.rst.
Result<UniqueFd> mount_overlay(const Step& step);
// A new file system at step.target. /proc and /sys must be real directories of the root.
Status mount_new(int root, const Step& step);
// What the shim pinned, attached at step.target; missing mount points are made.
Status mount_bind(int root, const Step& step, int pinned);
// Makes the directory at step.target a mount of its own, so that it stays writable when the root
// does not. What it holds stays, and goes with the container's writable directory.
Status mount_own_volume(int root, const Step& step);
// The device nodes and links in the fresh /dev at step.target.
Status make_devices(int root, const Step& step);
// The terminal's slave on /dev/console.
Status mount_console(int root, int terminal);
// Hides a path of /proc or /sys; a missing one is success. Files become the host's null device, so
// that the host's root must still be there; empty: what the first directory was hidden behind, and
// all others are.
Status mask_path(int root, const Step& step, UniqueFd& empty);
// Makes a path and everything mounted below it unwritable; a missing one is success.
Status protect_path(int root, const Step& step);

}  // namespace moored::shim
