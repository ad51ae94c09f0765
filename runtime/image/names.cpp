#include "runtime/image/names.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "schema/model/grammar.hpp"

namespace moored::image {
namespace {

constexpr std::string_view kAlgorithm = "sha256:";
constexpr std::size_t kHexDigits = 64;

// The first part of a reference is a host when it could not be a directory of the default one.
bool names_host(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost";
}

std::string complete_repository(std::string_view path) {
  const auto slash = path.find('/');
  if (slash == std::string_view::npos) return "docker.io/library/" + std::string(path);
  if (names_host(path.substr(0, slash))) return std::string(path);
  return "docker.io/" + std::string(path);
}

}  // namespace

bool is_digest(std::string_view text) {
  if (text.size() != kAlgorithm.size() + kHexDigits || text.rfind(kAlgorithm, 0) != 0) return false;
  return std::all_of(text.begin() + kAlgorithm.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string digest_hex(std::string_view digest) {
  return std::string(digest.substr(std::min(kAlgorithm.size(), digest.size())));
}

bool is_loopback_host(std::string_view host) {
  if (host == "[::1]" || host.rfind("[::1]:", 0) == 0) return true;
  const std::string name(host.substr(0, host.find(':')));
  in_addr address{};
  if (inet_pton(AF_INET, name.c_str(), &address) == 1) return ntohl(address.s_addr) >> 24U == 127;
  return name == "localhost";
}

Result<ImageName> parse_image_name(std::string_view text) {
  if (auto error = check_image_reference(text)) {
    return Unexpected(std::move(*error).because("InvalidImageName"));
  }
  const auto parts = split_image_reference(text);
  ImageName name;
  name.digest = parts.digest;
  name.tag = parts.tag.empty() ? "latest" : parts.tag;
  if (!name.digest.empty() && !is_digest(name.digest)) {
    return Unexpected(Error{Code::invalid,
                            "only sha256 digests are known here, not " + name.digest,
                            "InvalidImageName",
                            {},
                            {}});
  }
  if (!parts.digest.empty()) text.remove_suffix(parts.digest.size() + 1);
  if (!parts.tag.empty()) text.remove_suffix(parts.tag.size() + 1);
  name.repository = complete_repository(text);
  return name;
}

}  // namespace moored::image
