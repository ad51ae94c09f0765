// How a registry says what it wants to see before it answers. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moored::registry {

// Source: RFC 9110 section 11.6.1, and the registry's token authentication specification.
struct Challenge {
  std::string scheme;  // in lower case: basic, bearer
  std::string realm;
  std::string service;
  std::string scope;
  bool operator==(const Challenge&) const = default;
};

// The challenges of all WWW-Authenticate headers, in order. What is no challenge is left out.
std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers);

// The words of {"errors":[{"code":…,"message":…}]}, cut; empty when the body is none.
std::string read_error_words(std::string_view body);

}  // namespace moored::registry
