#include "gitsync/follow/mirror_home.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::git {
namespace {

// objects/ab/, refs/moored/heads/a/b/...: far above an honest mirror.
constexpr int kDeepest = 40;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Status hand_over(int directory, unsigned uid, unsigned gid, int depth);

// A name that another hard link shares may be a file of somebody else, and a link leads elsewhere:
// libgit2 makes neither.
Status hand_over_entry(int directory, const char* name, unsigned uid, unsigned gid, int depth) {
  const UniqueFd entry(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat found {};
  if (!entry || ::fstat(entry.get(), &found) != 0) return failed(std::string("look at ") + name);
  if (S_ISDIR(found.st_mode)) return hand_over(entry.get(), uid, gid, depth + 1);
  if (!S_ISREG(found.st_mode) || found.st_nlink != 1) {
    return fail(Code::corrupt, std::string("a mirror does not hold what ") + name + " is");
  }
  return ::fchown(entry.get(), uid, gid) != 0 ? failed(std::string("hand over ") + name) : Status();
}

// By descriptors, children before their directory: what was interrupted is found unfinished.
Status hand_over(int directory, unsigned uid, unsigned gid, int depth) {
  if (depth > kDeepest) return fail(Code::corrupt, "the mirror is deeper than mirrors are");
  const int listed = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseDirectory> names(listed < 0 ? nullptr : ::fdopendir(listed));
  if (!names) return failed("list the mirror");
  while (const dirent* entry = ::readdir(names.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    MOORED_CHECK(hand_over_entry(directory, entry->d_name, uid, gid, depth));
  }
  return ::fchown(directory, uid, gid) != 0 ? failed("hand over the mirror") : Status();
}

Status move(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) != 0 ? failed("rename " + from) : Status();
}

// Mirrors used to lie in home itself. A crash between the steps is finished by the next start.
Status move_inside(const std::string& home) {
  const std::string aside = home + ".moving";
  if (path_exists(home + "/HEAD")) {
    MOORED_CHECK(remove_tree(aside));
    MOORED_CHECK(move(home, aside));
  }
  if (!path_exists(aside)) return {};
  MOORED_CHECK(make_directories(home, 0700));
  if (path_exists(home + "/repository")) return remove_tree(aside);
  return move(aside, home + "/repository");
}

}  // namespace

Status prepare_mirror_home(const std::string& home, unsigned uid, unsigned gid) {
  MOORED_CHECK(move_inside(home));
  MOORED_CHECK(make_directories(home, 0700));
  const UniqueFd directory(::open(home.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found {};
  if (!directory || ::fstat(directory.get(), &found) != 0) return failed("look at " + home);
  if (found.st_uid == uid && found.st_gid == gid) return {};
  auto handed = hand_over(directory.get(), uid, gid, 0);
  if (handed || handed.error().code == Code::denied) return handed;
  // Everything in it can be fetched again.
  MOORED_CHECK(remove_tree(home));
  MOORED_CHECK(make_directories(home, 0700));
  return ::lchown(home.c_str(), uid, gid) != 0 ? failed("hand over " + home) : Status();
}

}  // namespace moored::git
