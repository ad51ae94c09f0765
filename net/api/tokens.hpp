// Who may read the API: bearer tokens, kept as hashes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/random.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"

namespace moored::net::api {

// One line of the file: NAME sha256:HEX [EXPIRY].
struct TokenRow {
  std::string name;
  std::string hash;  // 64 hexadecimal digits, of the token's SHA-256
  std::optional<Time> expires;
};

// Tokens are drawn, never chosen: with 256 bits of chance a plain hash tells nothing about them.
std::string make_token(Random& random);
// The line for a token; without a line end.
std::string format_token_row(const TokenRow& row);
// Reads the lines; empty ones and those that start with # are left out.
// Errors: invalid with file:line (not such a line, a name or a hash twice), exhausted.
Result<std::vector<TokenRow>> parse_tokens(std::string_view text, const std::string& file);
// True when both are equal. Takes as long wherever they differ.
bool equal_in_constant_time(std::string_view left, std::string_view right);
// The name of a token that has not expired; nothing: it is unknown. Looks at every row.
std::optional<std::string> find_name(const std::vector<TokenRow>& rows, std::string_view token,
                                     Time now);

// A file of tokens, read again when it changes: a removed line ends a right within a second.
// Thread safe.
class TokenFile {
 public:
  static constexpr std::size_t kMaxBytes = 1U << 20U;
  static constexpr std::size_t kMaxRows = 1'000;

  // Errors: not_found, denied (KeyExposed: others can read or write it), those of parse_tokens.
  static Result<std::unique_ptr<TokenFile>> open(std::string path);
  ~TokenFile();

  // As find_name(). A file that went away or that others can read lets nobody in; one with a
  // mistake leaves what it said before. Either is logged once.
  std::optional<std::string> find_user(std::string_view token, Now now);
  // Another number whenever the file was read again or one more of its tokens has expired: then
  // find_user() may have another answer to the same question.
  std::uint64_t version(Now now);

 private:
  struct State;
  explicit TokenFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net::api
