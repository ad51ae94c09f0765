#include "runtime/sys/mount.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace moored::sys {
namespace {

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

std::uint64_t attributes(const MountFlags& flags) {
  std::uint64_t bits = 0;
  if (flags.read_only) bits |= MOUNT_ATTR_RDONLY;
  if (flags.no_suid) bits |= MOUNT_ATTR_NOSUID;
  if (flags.no_dev) bits |= MOUNT_ATTR_NODEV;
  if (flags.no_exec) bits |= MOUNT_ATTR_NOEXEC;
  if (flags.strict_atime) bits |= MOUNT_ATTR_STRICTATIME;
  return bits;
}

unsigned long propagation_flag(Propagation propagation) {
  switch (propagation) {
    case Propagation::keep:
      return 0;
    case Propagation::rprivate:
      return MS_PRIVATE;
    case Propagation::rslave:
      return MS_SLAVE;
    case Propagation::rshared:
      return MS_SHARED;
  }
  return 0;
}

// The context's own message says more than errno; it is a line such as "e overlay: Unknown …".
std::string context_message(int context) {
  std::array<char, 512> text{};
  const auto got = ::read(context, text.data(), text.size() - 1);
  if (got <= 2) return {};
  std::string message(text.data() + 2, static_cast<std::size_t>(got) - 2);
  while (!message.empty() && message.back() == '\n')
    message.pop_back();
  return " (" + message + ")";
}

Result<UniqueFd> open_resolving(int root, const std::string& path, int flags,
                                std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.resolve = resolve;
  // EAGAIN: a rename raced with the walk; a hostile one may do so for ever.
  constexpr int kMaxTries = 128;
  for (int i = 0; i < kMaxTries; ++i) {
    const auto fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return failed("open " + path);
}

}  // namespace

Result<UniqueFd> make_mount(const std::string& type, const std::vector<MountOption>& options,
                            const MountFlags& flags) {
  const UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context) return failed("open file system " + type);
  for (const auto& option : options) {
    const bool flag = option.second.empty();
    if (::fsconfig(context.get(), flag ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING,
                   option.first.c_str(), flag ? nullptr : option.second.c_str(), 0) != 0) {
      return failed("set " + option.first + " of " + type);
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    const int error = errno;
    const std::string detail = context_message(context.get());
    return Unexpected(system_error("make file system " + type + detail, error));
  }
  UniqueFd mount(
      ::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes(flags))));
  if (!mount) return failed("mount " + type);
  return mount;
}

// Detached: it is in no namespace's tree until it is attached, and gone when the descriptor is.
Result<UniqueFd> clone_mount(int directory, const std::string& path, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                         (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  UniqueFd mount(::open_tree(directory, path.c_str(), flags));
  if (!mount) return failed("clone mount " + path);
  return mount;
}

// One call for the whole tree: there is no moment in which a part is still writable.
Status set_mount(int mount, const MountFlags& flags, Propagation propagation, bool recursive) {
  mount_attr change{};
  change.attr_set = attributes(flags);
  if (flags.strict_atime) change.attr_clr = MOUNT_ATTR__ATIME;
  change.propagation = propagation_flag(propagation);
  const unsigned at = AT_EMPTY_PATH | (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  if (::mount_setattr(mount, "", at, &change, sizeof change) != 0) return failed("change mount");
  return {};
}

Status replace_mount_flags(int mount, const MountFlags& flags) {
  mount_attr change{};
  change.attr_set = attributes(flags);
  change.attr_clr =
      (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) &
      ~change.attr_set;
  if (::mount_setattr(mount, "", AT_EMPTY_PATH, &change, sizeof change) != 0) {
    return failed("change mount");
  }
  return {};
}

Status attach_mount(int mount, int target) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return failed("attach mount");
  }
  return {};
}

// EINVAL is "not a mount point", which is what was wanted.
Status unmount(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};
  return failed("unmount " + path);
}

Result<bool> is_mount_point(const std::string& path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &status) !=
      0) {
    return failed("look at " + path);
  }
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status set_propagation(const std::string& path, Propagation propagation) {
  if (::mount(nullptr, path.c_str(), nullptr, propagation_flag(propagation) | MS_REC, nullptr) !=
      0) {
    return failed("change propagation of " + path);
  }
  return {};
}

// The old root ends up on top of the new one at the same place and is then detached: nothing has
// to be made inside the container for it.
Status pivot_into(int root) {
  const UniqueFd old_root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!old_root) return failed("open the old root");
  if (::fchdir(root) != 0) return failed("enter the new root");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return failed("pivot root");
  if (::fchdir(old_root.get()) != 0) return failed("enter the old root");
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
    return failed("cut off the old root");
  }
  if (::umount2(".", MNT_DETACH) != 0) return failed("drop the old root");
  if (::chdir("/") != 0) return failed("enter the new root");
  return {};
}

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags) {
  return open_resolving(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> open_without_links(int root, const std::string& path, int flags) {
  return open_resolving(root, path, flags,
                        RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

Result<UniqueFd> open_beneath(int root, const std::string& path, int flags) {
  return open_resolving(root, path, flags,
                        RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

Result<std::vector<std::string>> split_inside(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    auto end = path.find('/', at);
    if (end == std::string::npos) end = path.size();
    std::string part = path.substr(at, end - at);
    if (part == "..") return fail(Code::invalid, "path " + path + " contains ..");
    if (!part.empty() && part != ".") parts.push_back(std::move(part));
    at = end + 1;
  }
  return parts;
}

// Made with the volume's own rights: nobody but root and, by its mode, the group may enter.
Result<UniqueFd> make_beneath(int root, const std::string& path, unsigned mode) {
  if (!path.empty() && path.front() == '/')
    return fail(Code::invalid, "path " + path + " is absolute");
  MOORED_TRY(const auto parts, split_inside(path));
  std::string done = ".";
  MOORED_TRY(auto at, open_beneath(root, done, O_PATH | O_DIRECTORY));
  for (const auto& part : parts) {
    done += "/" + part;
    auto next = open_beneath(root, done, O_PATH);
    if (!next && next.error().code == Code::not_found) {
      if (::mkdirat(at.get(), part.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST) {
        return failed("make " + done);
      }
      next = open_beneath(at.get(), part, O_PATH | O_NOFOLLOW);
    }
    if (!next) return next;
    at = *std::move(next);
  }
  return at;
}

namespace {

// The path is walked once more from the root for each part, by the kernel, because a link in the
// middle may lead elsewhere inside the root; what is made is made next to what was just opened.
Result<UniqueFd> walk_in_root(int root, const std::vector<std::string>& parts, bool file,
                              unsigned mode) {
  std::string done = "/";
  MOORED_TRY(auto at, open_in_root(root, done, O_PATH | O_DIRECTORY));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const std::string& part = parts[i];
    done += part;
    auto next = open_in_root(root, done, O_PATH | (last ? 0 : O_DIRECTORY));
    if (!next && next.error().code == Code::not_found) {
      // The parent is the directory just opened; no name is walked a second time.
      int made = 0;
      if (last && file) {
        const UniqueFd fresh(::openat(at.get(), part.c_str(),
                                      O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode));
        made = fresh ? 0 : -1;
      } else {
        made = ::mkdirat(at.get(), part.c_str(), static_cast<mode_t>(mode));
      }
      if (made != 0 && errno != EEXIST) return failed("make " + done);
      next = open_in_root(at.get(), part, O_PATH | O_NOFOLLOW);
    }
    if (!next) return next;
    at = *std::move(next);
    done += '/';
  }
  return at;
}

}  // namespace

// Mostly it is there, and one walk of the kernel's is enough.
Result<UniqueFd> make_in_root(int root, const std::string& path, bool file, unsigned mode) {
  MOORED_TRY(const auto parts, split_inside(path));
  auto found = open_in_root(root, path, O_PATH);
  if (!found) found = walk_in_root(root, parts, file, mode);
  if (!found) return found;
  UniqueFd at = *std::move(found);
  struct stat status {};
  if (::fstat(at.get(), &status) != 0) return failed("look at " + path);
  if (S_ISDIR(status.st_mode) == file) {
    return fail(Code::invalid, path + (file ? " is a directory" : " is not a directory"));
  }
  return at;
}

}  // namespace moored::sys
