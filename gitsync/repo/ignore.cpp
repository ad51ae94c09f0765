// The matcher works on two positions and goes back to the last star, so it takes no more than the
// product of both lengths, whatever the pattern.
#include "gitsync/repo/ignore.hpp"

namespace moored::git {
namespace {

// [abc], [a-z], [!a]: moves at behind the bracket. A bracket without an end fits nothing.
bool fits_class(std::string_view glob, std::size_t& at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < glob.size() && (glob[i] == '!' || glob[i] == '^');
  if (negated) ++i;
  bool found = false;
  for (bool first = true; i < glob.size() && (first || glob[i] != ']'); first = false) {
    if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
    const char low = glob[i++];
    char high = low;
    if (i + 1 < glob.size() && glob[i] == '-' && glob[i + 1] != ']') {
      high = glob[i + 1];
      i += 2;
    }
    found = found || (low <= c && c <= high);
  }
  if (i >= glob.size()) return false;
  at = i + 1;
  return c != '/' && found != negated;
}

// One character of the pattern against one of the path.
bool fits_one(std::string_view glob, std::size_t& at, char c) {
  if (glob[at] == '[') return fits_class(glob, at, c);
  if (glob[at] == '?') return ++at, c != '/';
  if (glob[at] == '\\' && at + 1 < glob.size()) ++at;
  return glob[at++] == c;
}

// Where a star can go on: behind it in the pattern, and at which place of the path.
struct Retry {
  std::size_t glob = std::string_view::npos;
  std::size_t path = 0;
};

// ** between slashes is any number of directories, a star anything but a slash.
bool fits(std::string_view glob, std::string_view path) {
  std::size_t g = 0;
  std::size_t p = 0;
  Retry star;   // within a name
  Retry stars;  // across names
  for (;;) {
    const bool deep = glob.substr(g, 2) == "**" && (g == 0 || glob[g - 1] == '/') &&
                      (g + 2 == glob.size() || glob[g + 2] == '/');
    if (deep && g + 2 == glob.size()) return p < path.size();
    if (deep) {
      g += 3;
      stars = {g, p};
      star = {};
      continue;
    }
    if (g < glob.size() && glob[g] == '*') {
      while (g < glob.size() && glob[g] == '*') ++g;
      star = {g, p};
      continue;
    }
    if (g == glob.size() && p == path.size()) return true;
    if (g < glob.size() && p < path.size() && fits_one(glob, g, path[p])) {
      ++p;
      continue;
    }
    // Back to the inner star while it can swallow one more, then to the outer one.
    if (star.glob != std::string_view::npos && star.path < path.size() && path[star.path] != '/') {
      p = ++star.path;
      g = star.glob;
      continue;
    }
    if (stars.glob == std::string_view::npos) return false;
    const std::size_t slash = path.find('/', stars.path);
    if (slash == std::string_view::npos) return false;
    stars.path = slash + 1;
    p = stars.path;
    g = stars.glob;
    star = {};
  }
}

// Blanks at the end mean nothing unless the last one is quoted.
std::string_view trim(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  while (!line.empty() && line.back() == ' ' &&
         (line.size() < 2 || line[line.size() - 2] != '\\')) {
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

IgnorePatterns::IgnorePatterns(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    Pattern pattern;
    if (line.front() == '!') {
      pattern.negated = true;
      line.remove_prefix(1);
    }
    if (!line.empty() && line.back() == '/') {
      pattern.directories = true;
      line.remove_suffix(1);
    }
    pattern.anchored = line.find('/') != std::string_view::npos;
    if (!line.empty() && line.front() == '/') line.remove_prefix(1);
    if (line.empty()) continue;
    pattern.glob = line;
    patterns_.push_back(std::move(pattern));
  }
}

bool IgnorePatterns::leaves_out(std::string_view path, bool directory) const {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern) {
    if (pattern->directories && !directory) continue;
    if (fits(pattern->glob, pattern->anchored ? path : name)) return !pattern->negated;
  }
  return false;
}

// From the root down: what is in a directory that is left out is not looked at.
bool IgnorePatterns::matches(std::string_view path) const {
  if (patterns_.empty()) return false;
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    if (leaves_out(path.substr(0, slash), true)) return true;
  }
  return leaves_out(path, false);
}

}  // namespace moored::git
