// What the daemon and moored-pull say to each other: JSON for words, one tagged frame for bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::image {

// One way to say who asks. Either user and password, or an identity token.
struct RegistryLogin {
  std::string user;
  std::string password;
  std::string identity_token;
  bool operator==(const RegistryLogin&) const = default;
};

// How to reach one repository of one registry, and what is allowed on the way.
struct RegistryAccess {
  std::string base;                  // scheme://host[:port], without a path
  std::string repository;            // library/nginx
  std::string origin;                // of a mirror: the registry it stands for
  std::vector<RegistryLogin> logins; // tried in this order; none: as nobody
  std::vector<std::string> realms;   // origins beside base that may be asked for tokens
  std::string certificates;          // PEM; empty: the system's authorities
  std::int64_t idle_seconds = 60;    // without a byte from the other side
  std::int64_t total_seconds = 1800; // for one transfer
  bool operator==(const RegistryAccess&) const = default;
};

// Asks for a document or a blob of the repository that the access named.
struct RegistryAsk {
  enum class Kind { access, manifest, blob } kind = Kind::access;
  RegistryAccess access;      // access: the first message, and the only one without an answer
  std::string reference;      // manifest: tag or digest; blob: digest
  std::int64_t offset = 0;    // blob: what is there already
  std::int64_t limit = 0;     // bytes past the offset after which the answer is cut off
};

// An answer is a head, any number of pieces, then an end or an error; or an error alone.
struct RegistryHead {
  std::string media_type;     // without parameters
  std::string digest;         // as the server says; empty: it does not
  std::int64_t offset = 0;    // where the bytes start: 0 when the server starts over
};
struct RegistryAnswer {
  enum class Kind { head, piece, end, error } kind = Kind::end;
  RegistryHead head;
  std::string_view piece;     // into the message
  Error error;
};

std::string write_ask(const RegistryAsk& ask);
// Errors: corrupt.
Result<RegistryAsk> read_ask(std::string_view message);
std::string write_head(const RegistryHead& head);
std::string write_piece(std::string_view bytes);
std::string write_end();
std::string write_failure(const Error& error);
// Errors: corrupt.
Result<RegistryAnswer> read_answer(std::string_view message);

}  // namespace moored::image
