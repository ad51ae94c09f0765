// Names and paths from repositories; none of them ever reaches a file system call.
#include "gitsync/repo/names.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>

namespace moored::git {
namespace {

// One character of UTF-8 text; size 0 means that the bytes are no character.
struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

// Reads the first character, strictly: no overlong form, no surrogate, nothing past U+10FFFF.
Character read_character(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = at(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
  std::uint32_t code = first & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0U) != 0x80U) return {};
    code = (code << 6U) | (at(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[size] || surrogate || code > 0x10ffff) return {};
  return {code, size};
}

// Characters that HFS+ leaves out when it compares names; none of them can be seen.
bool is_ignorable(std::uint32_t code) {
  return (code >= 0x200c && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x206a && code <= 0x206f) || code == 0xfeff;
}

// What a terminal obeys or a reader cannot see: controls, joiners, direction marks, soft hyphen.
bool is_invisible(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || is_ignorable(code) || code == 0x200b ||
         code == 0x2028 || code == 0x2029 || (code >= 0x2060 && code <= 0x2069) ||
         code == 0x061c || code == 0x00ad;
}

// Escapes are visible ASCII, so an escaped text never needs escaping again.
std::string hex_escape(const char* format, std::uint32_t value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// std::string_view has it from C++20 on under another name in older libraries.
bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

Error invalid_path(std::string_view path, std::string_view why) {
  return Error{Code::invalid, "the path " + show_text(path, 256) + ' ' + std::string(why),
               "InvalidValue", {}, "write a path below the root of the repository"};
}

// The target is not in the message: it would tell what the node has.
Error refused_link(std::string message) {
  return Error{Code::invalid, std::move(message), "SymlinkRefused", {},
               "link to a file of the same commit"};
}

}  // namespace

std::string show_text(std::string_view text, std::size_t limit) {
  const auto plain = [](char c) { return c >= ' ' && c <= '~'; };
  if (text.size() <= limit && std::all_of(text.begin(), text.end(), plain)) {
    return std::string(text);
  }
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "…";
    const Character c = read_character(text);
    if (c.size == 0) {
      out += hex_escape("\\x%02x", static_cast<std::uint8_t>(text.front()));
    } else if (c.code < 0x80 && is_invisible(c.code)) {
      out += c.code == '\n' ? "\\n" : c.code == '\t' ? "\\t" : hex_escape("\\x%02x", c.code);
    } else if (is_invisible(c.code)) {
      out += hex_escape("\\u{%04x}", c.code);
    } else {
      out += text.substr(0, c.size);
    }
    text.remove_prefix(std::max<std::size_t>(c.size, 1));
  }
  return out;
}

bool is_dot_git(std::string_view name) {
  // Fold as the most forgiving file system would, then compare.
  std::string folded;
  for (std::string_view rest = name; !rest.empty();) {
    const Character c = read_character(rest);
    const std::size_t size = std::max<std::size_t>(c.size, 1);
    if (c.size == 0 || !is_ignorable(c.code)) folded += rest.substr(0, size);
    rest.remove_prefix(size);
  }
  folded = folded.substr(0, folded.find(':'));
  while (!folded.empty() && (folded.back() == ' ' || folded.back() == '.')) folded.pop_back();
  std::transform(folded.begin(), folded.end(), folded.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return folded == ".git" || folded == "git~1";
}

std::optional<Error> check_entry_name(std::string_view name) {
  const auto refuse = [&](std::string_view reason, std::string_view why) {
    return Error{Code::invalid, "the entry \"" + show_text(name, 256) + "\" " + std::string(why),
                 std::string(reason), {}, "take the entry out of the tree"};
  };
  if (name.empty()) return refuse("MalformedTree", "has no name");
  if (name.find('/') != std::string_view::npos) {
    return refuse("MalformedTree", "has a slash in its name");
  }
  if (name == "." || name == "..") return refuse("UnsafeTreeEntry", "names a directory itself");
  // Some file systems take a backslash for a slash, so each piece is judged.
  for (std::string_view rest = name;;) {
    const std::size_t end = rest.find('\\');
    const std::string_view piece = rest.substr(0, end);
    if (is_dot_git(piece)) return refuse("UnsafeTreeEntry", "is a spelling of .git");
    if (end == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(end + 1);
  }
}

// Hidden files are for tools: .github, .sops.yaml and their like.
bool is_manifest_name(std::string_view name) {
  if (name.empty() || name.front() == '.') return false;
  return ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json");
}

bool is_kustomization_name(std::string_view name) {
  return name == "kustomization.yaml" || name == "kustomization.yml" || name == "Kustomization";
}

// Leading slashes and dots are how people write the root.
Result<std::vector<std::string>> split_source_path(std::string_view path) {
  if (path.size() > kMaxPathBytes) return Unexpected(invalid_path(path, "is too long"));
  std::vector<std::string> components;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return Unexpected(invalid_path(part, "climbs out of the repository"));
    if (check_entry_name(part)) return Unexpected(invalid_path(part, "cannot be in a tree"));
    components.emplace_back(part);
  }
  if (components.size() > kMaxTreeDepth) return Unexpected(invalid_path(path, "is too deep"));
  return components;
}

Result<std::vector<std::string>> resolve_link(const std::vector<std::string>& directory,
                                              std::string_view target) {
  const bool plain = target.find('\0') == std::string_view::npos;
  if (target.empty() || target.size() > kMaxPathBytes || !plain) {
    return Unexpected(refused_link("the link has no usable target"));
  }
  if (target.front() == '/') {
    return Unexpected(refused_link("the link leads out of the repository"));
  }
  // By text alone: the file system is never asked.
  std::vector<std::string> components = directory;
  while (!target.empty()) {
    const std::size_t end = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, end);
    target.remove_prefix(std::min(end + 1, target.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      components.emplace_back(part);
    } else if (components.empty()) {
      return Unexpected(refused_link("the link leads out of the repository"));
    } else {
      components.pop_back();
    }
  }
  return components;
}

std::string join_path(const std::vector<std::string>& components) {
  std::string path;
  for (const auto& component : components) {
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

}  // namespace moored::git
