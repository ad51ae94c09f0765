// The bytes of a tree, entry by entry.
#include "gitsync/repo/raw_tree.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

#include "gitsync/repo/names.hpp"

namespace moored::git {
namespace {

struct Mode {
  std::string_view text;
  EntryType type;
};
constexpr std::array<Mode, 5> kModes{{{"100644", EntryType::file},
                                      {"40000", EntryType::directory},
                                      {"100755", EntryType::file},
                                      {"120000", EntryType::link},
                                      {"160000", EntryType::submodule}}};

// git fsck names the same faults, so that is where to look.
Error malformed(std::string_view name, std::string message) {
  return Error{Code::invalid, std::move(message), "MalformedTree",
               Place{show_text(name), 0, 0, {}}, "run git fsck on the repository"};
}

// Compared as text: 040000 is another text than 40000, and git fsck warns of it, too.
std::optional<EntryType> type_of(std::string_view mode) {
  const auto row = std::find_if(kModes.begin(), kModes.end(),
                                [&](const Mode& known) { return known.text == mode; });
  return row == kModes.end() ? std::nullopt : std::optional(row->type);
}

// Git sorts a directory as if its name ended with a slash.
bool in_order(const TreeEntry& a, const TreeEntry& b) {
  const auto key = [](const TreeEntry& entry) {
    return entry.type == EntryType::directory ? entry.name + '/' : entry.name;
  };
  return key(a).compare(key(b)) < 0;
}

// The text of one entry before it is judged.
struct Cut {
  std::string_view mode;
  std::string_view name;
  std::string_view id;
};

// Takes one entry off the front. Nothing: the bytes do not have its form.
std::optional<Cut> cut_entry(std::string_view& raw) {
  const std::size_t space = raw.substr(0, 8).find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::size_t end = raw.find('\0', space);
  if (end == std::string_view::npos || raw.size() - end - 1 < ObjectId::kBytes) return std::nullopt;
  const Cut cut{raw.substr(0, space), raw.substr(space + 1, end - space - 1),
                raw.substr(end + 1, ObjectId::kBytes)};
  raw.remove_prefix(end + 1 + ObjectId::kBytes);
  return cut;
}

}  // namespace

RawTree parse_tree(std::string_view raw) {
  RawTree tree;
  std::unordered_set<std::string_view> names;
  std::optional<TreeEntry> previous;
  while (!raw.empty()) {
    const auto cut = cut_entry(raw);
    if (!cut) {
      tree.problems.push_back(malformed({}, "the tree ends in the middle of an entry"));
      break;
    }
    const auto type = type_of(cut->mode);
    auto unsafe = check_entry_name(cut->name);
    if (unsafe) {
      unsafe->place.file = show_text(cut->name);
      tree.problems.push_back(*std::move(unsafe));
    }
    if (!type) {
      tree.problems.push_back(
          malformed(cut->name, "the entry has the mode " + show_text(cut->mode)));
    }
    // Never "last wins": which one a reader sees would depend on the reader.
    if (!names.insert(cut->name).second) {
      tree.problems.push_back(malformed(cut->name, "the tree has two entries of this name"));
      continue;
    }
    TreeEntry entry{type.value_or(EntryType::file), std::string(cut->name),
                    ObjectId::from_raw(cut->id)};
    // Disorder hides entries from readers that search by halves.
    if (type && previous && !in_order(*previous, entry)) {
      tree.problems.push_back(malformed(cut->name, "the entries are not in Git's order"));
    }
    // An unsafe name still has its place in the order.
    if (type) previous = entry;
    if (type && !unsafe) tree.entries.push_back(std::move(entry));
  }
  return tree;
}

}  // namespace moored::git
