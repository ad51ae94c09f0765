// Image names: what is typed, and the one form under which it is kept.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"

namespace moored::image {

// A reference in full: nginx, library/nginx and docker.io/library/nginx:latest are one name, so
// that manifests stay as they are and an image is imported under the name it is asked for.
struct ImageName {
  std::string repository;  // host[:port]/path
  std::string tag;         // never empty
  std::string digest;      // sha256:<hex>; empty: the tag decides

  std::string text() const { return repository + ':' + tag; }
};

// Errors: invalid (reason InvalidImageName).
Result<ImageName> parse_image_name(std::string_view text);
// True for sha256: and 64 lower-case hexadecimal digits. Checked before a digest names a file.
bool is_digest(std::string_view text);
// The digits of a digest.
std::string digest_hex(std::string_view digest);

// True for localhost, 127.0.0.0/8 and [::1], with or without a port: names that can only mean this
// machine. 127.example.org may be anywhere.
bool is_loopback_host(std::string_view host);

}  // namespace moored::image
