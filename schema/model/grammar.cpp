#include "schema/model/grammar.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "schema/base/time.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxSubdomain = 253;
constexpr std::size_t kMaxPortName = 15;
constexpr std::size_t kMaxShown = 80;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_or_digit(char c) { return is_lower(c) || is_digit(c); }
bool is_word(char c) { return is_letter(c) || is_digit(c); }
bool is_name_char(char c) { return is_word(c) || c == '-' || c == '_' || c == '.'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// The grammar of one RFC 1123 label without its length.
bool label_shaped(std::string_view text) {
  return !text.empty() && is_lower_or_digit(text.front()) && is_lower_or_digit(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

// The part after the prefix of a label key; also a label value.
bool qualified_name_shaped(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && is_word(text.front()) &&
         is_word(text.back()) && std::all_of(text.begin(), text.end(), is_name_char);
}

// Told apart from a malformed name, because the way out is another one.
std::optional<Error> too_long(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::nullopt;
  return invalid_name(quoted(text) + " has " + std::to_string(text.size()) + " characters",
                      "use at most " + std::to_string(limit));
}

// Labels joined by single dots. The length is judged by the caller.
bool subdomain_shaped(std::string_view text) {
  while (true) {
    const auto dot = text.find('.');
    if (!label_shaped(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// True when any part between slashes is "..".
bool climbs(std::string_view path) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
  return false;
}

// What no path may hold, absolute or relative.
std::optional<Error> bad_path_text(std::string_view text) {
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return invalid_value("the path " + quoted(text) + " holds a control character",
                         "remove it");
  }
  if (climbs(text)) {
    return invalid_value("the path " + quoted(text) + " holds \"..\"",
                         "write the path without \"..\"");
  }
  return std::nullopt;
}

// ---- image references ---------------------------------------------------------------------------
constexpr std::size_t kMaxImageName = 255;
constexpr std::size_t kMaxTag = 128;

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool path_component_shaped(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) {
    return false;
  }
  for (std::size_t i = 0; i < text.size();) {
    if (is_lower_or_digit(text[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && !is_lower_or_digit(text[end])) ++end;
    const auto joint = text.substr(i, end - i);
    const bool dashes = joint.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && joint != "." && joint != "_" && joint != "__") return false;
    i = end;
  }
  return true;
}

// 1 to 65535 in decimal digits.
bool port_shaped(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) {
    return false;
  }
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535;
}

// A DNS name in any letter case, with or without a port.
bool host_shaped(std::string_view text) {
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && !port_shaped(text.substr(colon + 1))) return false;
  std::string host(text.substr(0, colon));
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return subdomain_shaped(host);
}

// Judged before it can become part of a path.
bool digest_shaped(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto algorithm = text.substr(0, colon);
  const auto hex = text.substr(colon + 1);
  const std::size_t wanted = algorithm == "sha256" ? 64 : algorithm == "sha512" ? 128 : 0;
  return wanted != 0 && hex.size() == wanted && std::all_of(hex.begin(), hex.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

// [A-Za-z0-9_][A-Za-z0-9._-]{0,127}
bool tag_shaped(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTag && (is_word(text.front()) || text[0] == '_') &&
         std::all_of(text.begin(), text.end(), is_name_char);
}

Error bad_reference(std::string_view text, std::string_view what) {
  return Error{Code::invalid, "the image reference " + quoted(text) + " " + std::string(what),
               "ReferenceInvalid", {}, "write [host[:port]/]name[:tag][@sha256:<64 hex digits>]"};
}

struct SplitReference {
  std::string_view name;
  std::optional<std::string_view> tag;
  std::optional<std::string_view> digest;
};

SplitReference split(std::string_view text) {
  SplitReference out;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    out.digest = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const auto colon = text.rfind(':');
  const auto slash = text.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    out.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  out.name = text;
  return out;
}

// The first component is a host when it looks like one: a dot, a colon or localhost.
bool image_name_shaped(std::string_view name) {
  const auto slash = name.find('/');
  if (slash != std::string_view::npos) {
    const auto first = name.substr(0, slash);
    if (first.find_first_of(".:") != std::string_view::npos || first == "localhost") {
      if (!host_shaped(first)) return false;
      name.remove_prefix(slash + 1);
    }
  }
  while (true) {
    const auto next = name.find('/');
    if (!path_component_shaped(name.substr(0, next))) return false;
    if (next == std::string_view::npos) return true;
    name.remove_prefix(next + 1);
  }
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  if (text.size() > kMaxShown) out += "...";
  return out + '"';
}

Error invalid_value(std::string message, std::string fix) {
  return Error{Code::invalid, std::move(message), "InvalidValue", {}, std::move(fix)};
}

Error invalid_name(std::string message, std::string fix) {
  return Error{Code::invalid, std::move(message), "InvalidName", {}, std::move(fix)};
}

std::string key_path(std::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return is_word(c) || c == '_' || c == '-';
  });
  return plain ? "." + std::string(key) : "[" + quoted(key) + "]";
}

std::string index_path(std::size_t index) { return "[" + std::to_string(index) + "]"; }

std::optional<Error> check_dns_label(std::string_view text) {
  if (auto error = too_long(text, kMaxLabel)) return error;
  if (label_shaped(text)) return std::nullopt;
  return invalid_name(quoted(text) + " is not a DNS label",
                      "use lower-case letters, digits and '-', alphanumeric at both ends");
}

std::optional<Error> check_service_name(std::string_view text) {
  if (auto error = check_dns_label(text)) return error;
  if (is_lower(text.front())) return std::nullopt;
  return invalid_name(quoted(text) + " does not start with a letter",
                      "start the name with a lower-case letter");
}

std::optional<Error> check_dns_subdomain(std::string_view text) {
  if (auto error = too_long(text, kMaxSubdomain)) return error;
  if (subdomain_shaped(text)) return std::nullopt;
  return invalid_name(
      quoted(text) + " is not a DNS name",
      "use lower-case letters, digits, '-' and '.', alphanumeric at both ends of each part");
}

std::optional<Error> check_label_key(std::string_view text) {
  std::string_view name = text;
  bool good = true;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    name = text.substr(slash + 1);
    good = slash <= kMaxSubdomain && subdomain_shaped(text.substr(0, slash));
  }
  if (good && qualified_name_shaped(name)) return std::nullopt;
  return invalid_value("the key " + quoted(text) + " is malformed",
                       "write [dns.name/]name with at most 63 letters, digits, '-', '_' and '.'");
}

std::optional<Error> check_label_value(std::string_view text) {
  if (text.empty() || qualified_name_shaped(text)) return std::nullopt;
  return invalid_value("the label value " + quoted(text) + " is malformed",
                       "use at most 63 letters, digits, '-', '_' and '.', "
                       "alphanumeric at both ends");
}

std::optional<Error> check_port_name(std::string_view text) {
  const bool letter = std::any_of(text.begin(), text.end(), is_lower);
  if (letter && text.size() <= kMaxPortName && label_shaped(text) &&
      text.find("--") == std::string_view::npos) {
    return std::nullopt;
  }
  return invalid_value("the port name " + quoted(text) + " is malformed",
                       "use at most 15 lower-case letters, digits and single '-', "
                       "with at least one letter");
}

std::optional<Error> check_env_name(std::string_view text) {
  if (!text.empty() && !is_digit(text.front()) &&
      std::all_of(text.begin(), text.end(), is_name_char)) {
    return std::nullopt;
  }
  return invalid_value("the environment variable name " + quoted(text) + " is malformed",
                       "use letters, digits, '_', '-' and '.', not starting with a digit");
}

std::optional<Error> check_map_key(std::string_view text) {
  const bool shaped = !text.empty() && text.size() <= kMaxSubdomain &&
                      std::all_of(text.begin(), text.end(), is_name_char);
  if (shaped && text != "." && text.substr(0, 2) != "..") return std::nullopt;
  return invalid_name("the key " + quoted(text) + " cannot become a file name",
                      "use at most 253 letters, digits, '-', '_' and '.', "
                      "not starting with \"..\"");
}

std::optional<Error> check_image_reference(std::string_view text) {
  const auto parts = split(text);
  if (parts.name.empty()) return bad_reference(text, "has no name");
  if (parts.name.size() > kMaxImageName) return bad_reference(text, "is longer than 255");
  if (!image_name_shaped(parts.name)) return bad_reference(text, "has a malformed name");
  if (parts.tag && !tag_shaped(*parts.tag)) return bad_reference(text, "has a malformed tag");
  if (parts.digest && !digest_shaped(*parts.digest)) {
    return bad_reference(text, "has a malformed digest");
  }
  return std::nullopt;
}

ImageReferenceParts split_image_reference(std::string_view text) {
  const auto parts = split(text);
  return {std::string(parts.tag.value_or("")), std::string(parts.digest.value_or(""))};
}

std::optional<Error> check_absolute_path(std::string_view text) {
  if (text.empty() || text.front() != '/') {
    return invalid_value("the path " + quoted(text) + " is not absolute", "start it with '/'");
  }
  return bad_path_text(text);
}

std::optional<Error> check_relative_path(std::string_view text) {
  if (!text.empty() && text.front() == '/') {
    return invalid_value("the path " + quoted(text) + " is absolute", "write it without the '/'");
  }
  return bad_path_text(text);
}

std::optional<Error> check_mount_path(std::string_view text) {
  if (auto error = check_absolute_path(text)) return error;
  if (text.find(':') != std::string_view::npos) {
    return invalid_value("the mount path " + quoted(text) + " holds ':'", "choose another path");
  }
  std::string path;  // without repeated and trailing slashes and without "." parts
  while (!text.empty()) {
    const auto slash = text.find('/');
    const auto part = text.substr(0, slash);
    if (!part.empty() && part != ".") path += "/" + std::string(part);
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
  }
  const auto first = path.substr(0, path.find('/', 1));
  const bool whole = path.empty() || path == "/dev";
  if (!whole && first != "/proc" && first != "/sys") return std::nullopt;
  return invalid_value("a volume cannot be mounted on " + (path.empty() ? "/" : path),
                       "choose a path outside /proc, /sys and /dev");
}

std::optional<Error> check_ip_address(std::string_view text) {
  std::array<unsigned char, 16> parsed{};
  const std::string copy(text);
  const bool clean = copy.find('\0') == std::string::npos;
  if (clean && (inet_pton(AF_INET, copy.c_str(), parsed.data()) == 1 ||
                inet_pton(AF_INET6, copy.c_str(), parsed.data()) == 1)) {
    return std::nullopt;
  }
  return invalid_value(quoted(text) + " is not an IP address");
}

std::optional<Error> check_duration(std::string_view text) {
  const auto duration = parse_duration(text);
  if (duration && *duration > Duration::zero()) return std::nullopt;
  return invalid_value(quoted(text) + " is not a duration above zero",
                       "write it as in 30s, 1m30s or 1h");
}

std::optional<Error> check_resource_name(std::string_view text) {
  if (!check_label_key(text)) return std::nullopt;
  return invalid_value("the resource name " + quoted(text) + " is malformed");
}

}  // namespace moored
