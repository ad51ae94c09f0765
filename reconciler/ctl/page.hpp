// Text for a terminal: aligned rows, colour where it helps. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moored::ctl {

// What a piece of text says about the world; decides its colour.
enum class Tone { plain, strong, faint, good, bad, warning };

// One piece of text and its tone.
struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};

// Collects lines. Foreign text is made safe to show; colour appears only when asked for.
class Page {
 public:
  explicit Page(bool colour) : colour_(colour) {}

  // Adds one line of cells, as they are.
  void line(const std::vector<Cell>& cells);
  void line(std::string_view text, Tone tone = Tone::plain) { line({{std::string(text), tone}}); }
  void blank() { text_ += '\n'; }
  // Adds rows whose columns are aligned, two spaces apart, each row behind the indent.
  void rows(const std::vector<std::vector<Cell>>& rows, std::size_t indent = 0);

  const std::string& text() const { return text_; }

 private:
  void put(const Cell& cell, std::size_t width);

  bool colour_;
  std::string text_;
};

// Characters that a text takes on the screen, each counted as one.
std::size_t screen_width(std::string_view text);
// main@sha1:<40 hex> as main@<8 hex>; other texts as they are.
std::string short_revision(const std::string& revision);

}  // namespace moored::ctl
