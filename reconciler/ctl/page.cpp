// Lines and columns of text.
#include "reconciler/ctl/page.hpp"

#include <algorithm>

#include "gitsync/repo/names.hpp"

namespace moored::ctl {
namespace {

constexpr std::size_t kShortSha = 8;
constexpr std::size_t kLongestCell = 2000;  // bytes; longer foreign text is cut

// The sixteen colours every terminal has, by their usual meanings.
std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::plain: return {};
    case Tone::strong: return "\x1b[1m";
    case Tone::faint: return "\x1b[2m";
    case Tone::good: return "\x1b[32m";
    case Tone::bad: return "\x1b[31m";
    case Tone::warning: return "\x1b[33m";
  }
  return {};
}

}  // namespace

std::size_t screen_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

std::string short_revision(const std::string& revision) {
  constexpr std::string_view kMark = "sha1:";
  const std::size_t at = revision.rfind(kMark);
  if (at == std::string::npos) return revision;
  return revision.substr(0, at) + revision.substr(at + kMark.size(), kShortSha);
}

// Padding counts what is seen: escapes and continuation bytes take no place.
void Page::put(const Cell& cell, std::size_t width) {
  const std::string shown = git::show_text(cell.text, kLongestCell);
  const std::string_view escape = colour_ ? escape_of(cell.tone) : std::string_view();
  text_ += escape;
  text_ += shown;
  if (!escape.empty()) text_ += "\x1b[0m";
  const std::size_t used = screen_width(shown);
  if (width > used) text_.append(width - used, ' ');
}

void Page::line(const std::vector<Cell>& cells) {
  for (const auto& cell : cells) put(cell, 0);
  text_ += '\n';
}

// Empty cells at the end of a row leave no blanks behind.
void Page::rows(const std::vector<std::vector<Cell>>& rows, std::size_t indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string shown = git::show_text(row[i].text, kLongestCell);
      widths[i] = std::max(widths[i], screen_width(shown));
    }
  }
  for (auto row : rows) {
    while (!row.empty() && row.back().text.empty()) row.pop_back();
    text_.append(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      put(row[i], last ? 0 : widths[i] + 2);
    }
    text_ += '\n';
  }
}

}  // namespace moored::ctl
