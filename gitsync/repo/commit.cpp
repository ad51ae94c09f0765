// A commit object by hand: libgit2 refuses dates and names that Git servers accept.
#include "gitsync/repo/commit.hpp"

#include <charconv>
#include <cstdint>

#include "gitsync/repo/names.hpp"

namespace moored::git {
namespace {

// Bytes of author and subject that are kept.
constexpr std::size_t kMaxShown = 200;
constexpr std::int64_t kLastSecond = 253'402'300'799;  // of the year 9999

// Takes the text up to the next line end off the front.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Header lines start with their word and one space.
bool take_word(std::string_view& line, std::string_view word) {
  if (line.substr(0, word.size()) != word) return false;
  line.remove_prefix(word.size());
  return true;
}

// "Name <mail>" of "Name <mail> 1700000000 +0000"; date receives what follows.
std::string_view split_person(std::string_view line, std::string_view& date) {
  const std::size_t end = line.rfind('>');
  if (end == std::string_view::npos) return line;
  date = line.substr(end + 1);
  return line.substr(0, end + 1);
}

// Dates are shown and never decided by, so an odd one is left out.
std::optional<Time> read_date(std::string_view date) {
  while (!date.empty() && date.front() == ' ') date.remove_prefix(1);
  std::int64_t seconds = 0;
  const auto parsed = std::from_chars(date.data(), date.data() + date.size(), seconds);
  if (parsed.ec != std::errc() || seconds < 0 || seconds > kLastSecond) return std::nullopt;
  return Time(std::chrono::seconds(seconds));
}

Unexpected corrupt(const ObjectId& id, std::string_view what) {
  return Unexpected(Error{Code::corrupt, "the commit " + id.hex() + ' ' + std::string(what),
                          "ObjectCorrupt", {}, {}});
}

}  // namespace

Result<CommitHeader> parse_commit(const ObjectId& id, std::string_view raw) {
  CommitHeader commit;
  commit.id = id;
  std::string_view line = take_line(raw);
  if (!take_word(line, "tree ")) return corrupt(id, "names no tree");
  const auto tree = ObjectId::from_hex(line);
  if (!tree) return corrupt(id, "names no tree");
  commit.tree = *tree;
  // Lines of a signature start with a space and match none of the words.
  while (!raw.empty()) {
    line = take_line(raw);
    if (line.empty()) break;
    std::string_view date;
    if (take_word(line, "parent ")) {
      const auto parent = ObjectId::from_hex(line);
      if (!parent) return corrupt(id, "has a broken parent line");
      commit.parents.push_back(*parent);
    } else if (take_word(line, "author ")) {
      commit.author = show_text(split_person(line, date), kMaxShown);
    } else if (take_word(line, "committer ")) {
      split_person(line, date);
      commit.committed_at = read_date(date);
    }
  }
  commit.subject = show_text(take_line(raw), kMaxShown);
  return commit;
}

}  // namespace moored::git
