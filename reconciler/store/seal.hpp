// Secret values at rest: sealed with a key that lies beside the database.
#pragma once

#include <string>
#include <string_view>

#include "schema/base/result.hpp"

namespace moored::store {

// Seals with AES-256-GCM and digests with HMAC-SHA-256, each with its own half of the key file.
// Immutable; thread safe. Source: NIST SP 800-38D (96-bit random nonces).
class Sealer {
 public:
  static constexpr std::size_t kKeyBytes = 64;

  // Reads the key file, or makes one (mode 0600) when create is set.
  // Errors: not_found, denied (others may read it), corrupt (wrong size), those of the disk.
  static Result<Sealer> open(const std::string& key_path, bool create);

  // Nonce, sealed bytes and tag. The context is authenticated with them and must be the same
  // when they are opened: a sealed value cannot be moved to another object.
  Result<std::string> seal(std::string_view clear, std::string_view context) const;
  // Errors: corrupt (changed, cut, moved, or sealed with another key).
  Result<std::string> unseal(std::string_view sealed, std::string_view context) const;
  // Tells whether two secrets are the same without telling what they are: 16 hex digits.
  std::string digest(std::string_view secret) const;

 private:
  explicit Sealer(std::string key) : key_(std::move(key)) {}
  std::string_view sealing_key() const { return std::string_view(key_).substr(0, kKeyBytes / 2); }
  std::string_view digest_key() const { return std::string_view(key_).substr(kKeyBytes / 2); }

  std::string key_;
};

}  // namespace moored::store
