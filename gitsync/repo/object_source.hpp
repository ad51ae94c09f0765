// Objects by id: all that the tree view needs of a repository, so that it can be tested in memory.
#pragma once

#include <cstddef>
#include <string>

#include "gitsync/repo/object_id.hpp"
#include "schema/base/result.hpp"

namespace moored::git {

// Errors of every call: corrupt (ObjectMissing; ObjectCorrupt also for another type of object).
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  // The raw entries of a tree. Errors: exhausted (TreeLimit), judged before inflating.
  virtual Result<std::string> read_tree(const ObjectId& id) = 0;
  // The size in bytes from the object's header, without inflating it.
  virtual Result<std::size_t> read_blob_size(const ObjectId& id) = 0;
  // The bytes of a blob. The caller has judged its size.
  virtual Result<std::string> read_blob(const ObjectId& id) = 0;
};

}  // namespace moored::git
