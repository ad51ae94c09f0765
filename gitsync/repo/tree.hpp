// A read-only view of the manifests in a commit's tree, which never follows a link out of it.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gitsync/repo/object_source.hpp"
#include "gitsync/repo/raw_tree.hpp"
#include "schema/base/error.hpp"

namespace moored::git {

// Limits of one source path; passing one is TreeLimit.
inline constexpr std::size_t kMaxTreeEntries = 200'000;
inline constexpr std::size_t kMaxManifestFiles = 20'000;
inline constexpr std::size_t kMaxLinkHops = 8;

// A file that holds manifests.
struct TreeFile {
  std::string path;  // from the root of the repository, safe to show
  ObjectId id;       // of the blob, behind the links if there are any
};

struct TreeListing {
  std::vector<TreeFile> files;                // in Git's order
  std::vector<std::string> kustomizations;    // paths of kustomization files, safe to show
  Diagnostics diagnostics;                    // entries that are refused; submodules as warnings
};

// Lists trees and remembers what it read, so that the next listing costs only what has changed.
// Hidden files and directories (a leading dot) are no manifests and are passed over. One thread.
class TreeReader {
 public:
  // Lists the manifests below path in the tree root. What is wrong with the commit is in the
  // listing's diagnostics: UnsafeTreeEntry, MalformedTree, SymlinkRefused, TreeLimit,
  // PathNotFound, InvalidValue. Errors: corrupt, when an object cannot be read.
  Result<TreeListing> list(ObjectSource& objects, const ObjectId& root, const std::string& path);

  // Trees that the last listing read from the repository; the others were known.
  std::size_t trees_read() const { return trees_read_; }

 private:
  struct Node;
  using NodePtr = std::shared_ptr<const Node>;
  using NodeMap = std::unordered_map<ObjectId, NodePtr, ObjectIdHash>;

  Result<NodePtr> read_node(ObjectSource& objects, const ObjectId& id, std::size_t depth);
  Result<NodePtr> build_node(ObjectSource& objects, const ObjectId& id, std::size_t depth);
  static void flatten(const Node& node, const std::string& prefix, TreeListing& listing,
                      std::vector<TreeFile>& links);

  NodeMap known_;  // of the last listing
  NodeMap next_;   // of the listing under way
  std::size_t trees_read_ = 0;
};

}  // namespace moored::git
