// Many files parsed side by side.
#pragma once

#include <string>
#include <vector>

#include "gitsync/load/parse.hpp"

namespace moored::git {

// One file to parse, and where what it holds goes.
struct ParseTask {
  std::string text;
  std::string path;  // decides between YAML and JSON
  ParsedFile* parsed = nullptr;
};

// Parses all of them, on a second thread as well when it is worth one and can be had: the worker of
// a local repository may make none. Returns when everything is done.
void parse_all(std::vector<ParseTask>& tasks, const std::string& target_namespace);

}  // namespace moored::git
