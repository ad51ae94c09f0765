// The commit that facts and sources speak of.
#pragma once

#include <optional>
#include <string>

#include "schema/base/time.hpp"

namespace moored {

// A commit as its header says it. Foreign text, already cut and escaped.
struct CommitInfo {
  std::string sha;      // 40 hex digits
  std::string author;   // "Name <mail>"
  std::string subject;  // first line, at most 200 bytes
  std::optional<Time> committed_at;
};

}  // namespace moored
