// The grammar of single texts: names, labels, paths, ports, image references.
//
// Every function returns nothing when the text is well formed, else an error with reason, sentence
// and fix but without place. Foreign text appears in messages cut and escaped.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schema/base/error.hpp"

namespace moored {

// RFC 1123 label: at most 63 of a-z, 0-9 and '-', alphanumeric at both ends.
std::optional<Error> check_dns_label(std::string_view text);
// RFC 1035 label: as above, and starts with a letter. Names of Services.
std::optional<Error> check_service_name(std::string_view text);
// RFC 1123 subdomain: labels joined by dots, at most 253 characters.
std::optional<Error> check_dns_subdomain(std::string_view text);
// [prefix/]name: the prefix a DNS subdomain, the name at most 63 of alphanumerics, '-', '_', '.'.
std::optional<Error> check_label_key(std::string_view text);
// Empty or at most 63 of alphanumerics, '-', '_', '.', alphanumeric at both ends.
std::optional<Error> check_label_value(std::string_view text);
// Lower-case IANA service name: at most 15, with a letter, no "--". Names of ports.
std::optional<Error> check_port_name(std::string_view text);
// Name of an environment variable: letters, digits, '_', '-', '.', not starting with a digit.
std::optional<Error> check_env_name(std::string_view text);
// Key of a ConfigMap or Secret: at most 253 of alphanumerics, '-', '_', '.'; not "." or "..*".
std::optional<Error> check_map_key(std::string_view text);
// [host[:port]/]path[:tag][@algo:hex]. Reason: ReferenceInvalid.
std::optional<Error> check_image_reference(std::string_view text);
// Starts with '/', holds no ".." part and no control character.
std::optional<Error> check_absolute_path(std::string_view text);
// Relative, without a ".." part and without a control character.
std::optional<Error> check_relative_path(std::string_view text);
// Where a volume may appear: an absolute path other than /, /proc, /sys, /dev and what is in them.
std::optional<Error> check_mount_path(std::string_view text);
// Dotted IPv4 or an IPv6 address.
std::optional<Error> check_ip_address(std::string_view text);
// A Go duration such as 1m30s, above zero.
std::optional<Error> check_duration(std::string_view text);
// A group/name or plain name of a resource such as cpu or example.com/device.
std::optional<Error> check_resource_name(std::string_view text);

// Foreign text for messages: control and other unprintable bytes as \xNN, cut at 80 bytes, quoted.
std::string quoted(std::string_view text);
// Errors of the two commonest reasons.
Error invalid_value(std::string message, std::string fix = {});
Error invalid_name(std::string message, std::string fix = {});
// The part of a field path for a map key: .key, or ["odd key"] when it is not a plain word.
std::string key_path(std::string_view key);
// The part of a field path for an item of a list: [3].
std::string index_path(std::size_t index);

// The parts of an image reference that decide about pulling.
struct ImageReferenceParts {
  std::string tag;     // empty when none is written
  std::string digest;  // algo:hex, empty when none is written
};
// Splits without judging.
ImageReferenceParts split_image_reference(std::string_view text);

}  // namespace moored
