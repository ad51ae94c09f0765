// A layer being written above the layers below it: what a name means in the image so far.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::image {

// Names of a path, outermost first; empty: the root.
using Path = std::vector<std::string>;

// Cuts a name of an archive into its parts. Leading slashes and "." fall away.
// Errors: invalid (LayerEscape: a part is ".."), exhausted (LayerLimit: too long or too deep).
Result<Path> clean_path(std::string_view name);

// The upper directory and the read-only ones below it. The kernel never follows a link here: every
// step is one name below a directory descriptor, and links are resolved by this class, inside the
// root. Not thread safe.
class MergedTree {
 public:
  static constexpr int kMaxLinkHops = 40;

  // Borrows the descriptors. lowers: topmost first.
  MergedTree(int upper, std::vector<int> lowers);

  // Where a path leads once every link in it is followed except one in its last part.
  // Parts that do not exist stay as they are. Errors: invalid (ManifestInvalid: a file is used as
  // a directory, or links in a circle).
  Result<Path> resolve(const Path& path);
  // The directory in the upper layer, made with all its parents if need be: attributes come from
  // the layers below, or are 0755 root. path: resolved. Cached until forget().
  Result<int> open_directory(const Path& path);
  // Drops cached descriptors; to be called when a name may have changed its meaning.
  void forget() { open_.clear(); }

  // What lies at a resolved path in the upper layer, or in the layers below as far as the upper
  // ones do not hide them.
  std::optional<struct stat> find_upper(const Path& path);
  std::optional<struct stat> find_lower(const Path& path, int* layer = nullptr);
  int upper() const { return upper_; }
  bool has_lowers() const { return !lowers_.empty(); }

 private:
  std::optional<struct stat> find(const Path& path, std::string* link);

  int upper_;
  std::vector<int> lowers_;
  std::map<Path, UniqueFd> open_;
};

// Opens a directory below another, refusing links in every part.
UniqueFd open_below(int root, const Path& path, int flags);
// True for the device that stands for a removed name.
bool is_whiteout(const struct stat& state);
bool is_opaque(int directory);

}  // namespace moored::image
