// One tree object, read by ourselves: libgit2 passes unsafe names, odd modes and duplicates on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gitsync/repo/object_id.hpp"
#include "schema/base/error.hpp"

namespace moored::git {

enum class EntryType { file, directory, link, submodule };

struct TreeEntry {
  EntryType type = EntryType::file;
  std::string name;  // raw bytes; safe to look up, not to show
  ObjectId id;
};

// The entries that may be used, and what is wrong with the others. place.file is the name alone.
struct RawTree {
  std::vector<TreeEntry> entries;
  std::vector<Error> problems;  // UnsafeTreeEntry, MalformedTree
};

// Reads "MODE NAME\0ID" again and again. Refuses names that file systems take for something else,
// modes other than 40000 100644 100755 120000 160000, two entries of one name, and disorder.
// Source: Documentation/gitformat-pack and git-fsck (fsck-msgids) of Git.
RawTree parse_tree(std::string_view raw);

}  // namespace moored::git
