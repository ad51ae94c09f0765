// The process that every shim of a daemon is a copy of.
#pragma once

#include <optional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// What a new shim is told: whose it is, and its line to the daemon, whose first message says that
// it serves, or why it cannot.
struct Birth {
  std::string directory;
  UniqueFd line;
};

// Says "ready" and then takes pods' directories from the line, each with the end of a line for the
// new shim, and copies this process for each; answers with the number of the copy. A copy starts
// where its original is: in its groups, with its score, without running the program anew, which
// takes longer than all that a shim does until it serves. It is a child of the starter's parent.
// Returns in the starter with nothing when the other end of the line is closed, and in a copy with
// what it is for.
Result<std::optional<Birth>> run_starter(UniqueFd line);

// Gives a copy its own words in the list of processes: "moored-shim DIRECTORY". The words of this
// process, from words[1] on, are overwritten.
void rename_process(int count, char** words, const std::string& directory);

}  // namespace moored::shim
