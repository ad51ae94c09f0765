// A commit as its raw text says it. Read by ourselves: foreign dates and names never fail us.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gitsync/repo/object_id.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

namespace moored::git {

struct CommitHeader {
  ObjectId id;
  ObjectId tree;
  std::vector<ObjectId> parents;
  std::string author;   // "Name <mail>", safe to show, at most 200 bytes
  std::string subject;  // first line, safe to show, at most 200 bytes
  std::optional<Time> committed_at;  // absent when the date is outside the years 1970 to 9999
};

// Reads the raw text of a commit object.
// Errors: corrupt (reason ObjectCorrupt) without a tree line or with a broken parent line.
Result<CommitHeader> parse_commit(const ObjectId& id, std::string_view raw);

}  // namespace moored::git
