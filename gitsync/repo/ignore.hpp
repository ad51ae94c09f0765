// Patterns as in .gitignore. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moored::git {

// What a source leaves out. The last pattern that fits decides; one with ! takes back in, but not
// what lies in a directory that is left out.
// Source: gitignore(5), PATTERN FORMAT.
class IgnorePatterns {
 public:
  // Reads a pattern for each line. Lines that are empty or begin with # mean nothing.
  explicit IgnorePatterns(std::string_view text);

  // Whether a file is left out. path is from the root of the repository, without a leading slash.
  bool matches(std::string_view path) const;

 private:
  struct Pattern {
    std::string glob;
    bool negated = false;
    bool directories = false;  // ends with a slash: fits directories alone
    bool anchored = false;     // has a slash before its end: fits from the root
  };
  bool leaves_out(std::string_view path, bool directory) const;

  std::vector<Pattern> patterns_;
};

}  // namespace moored::git
