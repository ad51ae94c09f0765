// Tree objects of a repository, the names in them, and where links lead.
#include <algorithm>
#include <string>
#include <vector>

#include "gitsync/repo/names.hpp"
#include "gitsync/repo/raw_tree.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace moored::git {
namespace {

bool is_plain(const std::string& component) {
  return !component.empty() && component != "." && component != ".." &&
         component.find('/') == std::string::npos && component.find('\0') == std::string::npos;
}

bool shows_plainly(const std::string& shown) {
  return std::none_of(shown.begin(), shown.end(), [](unsigned char byte) {
    return byte < 0x20 || byte == 0x7f;
  });
}

void judge_tree(std::string_view raw) {
  const auto tree = parse_tree(raw);
  std::vector<std::string> names;
  for (const auto& entry : tree.entries) {
    fuzz::check(is_plain(entry.name) && !is_dot_git(entry.name), "an entry has a plain name");
    names.push_back(entry.name);
  }
  std::sort(names.begin(), names.end());
  fuzz::check(std::adjacent_find(names.begin(), names.end()) == names.end(), "names differ");
  for (const auto& problem : tree.problems) {
    fuzz::check(shows_plainly(problem.message) && shows_plainly(problem.place.file),
                "a problem can be shown");
  }
}

void judge_paths(std::string_view text) {
  const auto cut = std::min(text.find('\0'), text.size());
  const auto directory = split_source_path(text.substr(0, cut));
  if (!directory) return;
  fuzz::check(directory->size() <= kMaxPathBytes, "a path is short");
  for (const auto& part : *directory) fuzz::check(is_plain(part), "a path has plain parts");
  const auto target = resolve_link(*directory, text.substr(std::min(cut + 1, text.size())));
  if (!target) return;
  for (const auto& part : *target) fuzz::check(is_plain(part), "a link leads to plain parts");
}

}  // namespace
}  // namespace moored::git

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace moored;
  using namespace moored::git;
  const auto text = fuzz::text_of(bytes, size);
  fuzz::check(shows_plainly(show_text(text)), "foreign text can be shown");
  fuzz::check(show_text(text, 64).size() <= 64 + 16, "foreign text is cut");
  judge_tree(text);
  judge_paths(text);
  return 0;
}
