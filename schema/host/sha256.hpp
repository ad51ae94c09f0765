// SHA-256, whole and in pieces.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace moored {

// Hashes a stream in pieces. Not copyable; one digest per object.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::string_view bytes);
  // Ends the stream; 64 lower-case hexadecimal digits. May be called once.
  std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The digest of a text in 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view bytes);
// Keyed digest (HMAC-SHA-256) in hexadecimal.
std::string hmac_sha256_hex(std::string_view key, std::string_view bytes);
// Base64 with padding, both ways; decoding is strict and gives false on any foreign character.
std::string base64_encode(std::string_view bytes);
bool base64_decode(std::string_view text, std::string& bytes);

}  // namespace moored
