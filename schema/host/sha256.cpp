#include "schema/host/sha256.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "schema/base/assert.hpp"

namespace moored {
namespace {

constexpr std::size_t kDigestBytes = 32;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Lower case, as in OCI digests and Git ids, which are compared as texts.
std::string to_hex(const std::array<unsigned char, kDigestBytes>& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * kDigestBytes);
  for (const auto byte : digest) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

// The six bits of a Base64 digit, or -1.
int digit_value(char c) {
  const auto at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

// OpenSSL's context is opaque and its header stays in this file.
struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  const bool ready =
      state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1;
  MOORED_ASSERT(ready);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
  MOORED_ASSERT(state_ != nullptr);
  const int done = EVP_DigestUpdate(state_->context, bytes.data(), bytes.size());
  MOORED_ASSERT(done == 1);
}

std::string Sha256::finish_hex() {
  MOORED_ASSERT(state_ != nullptr);  // finished or moved from
  std::array<unsigned char, kDigestBytes> digest{};
  const int done = EVP_DigestFinal_ex(state_->context, digest.data(), nullptr);
  MOORED_ASSERT(done == 1);
  state_.reset();
  return to_hex(digest);
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish_hex();
}

// The one-shot HMAC is kept in OpenSSL 3 while HMAC_CTX is deprecated there.
std::string hmac_sha256_hex(std::string_view key, std::string_view bytes) {
  std::array<unsigned char, kDigestBytes> digest{};
  unsigned length = 0;
  const auto* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                          digest.data(), &length);
  MOORED_ASSERT(made != nullptr && length == kDigestBytes);
  return to_hex(digest);
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    // Bytes beyond the end count as zero; the padding says how many of the digits are meant.
    const auto byte = [&](std::size_t at) -> std::uint32_t {
      return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U;
    };
    const std::uint32_t group = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    out += kAlphabet[group >> 18U];
    out += kAlphabet[group >> 12U & 63U];
    out += i + 1 < bytes.size() ? kAlphabet[group >> 6U & 63U] : '=';
    out += i + 2 < bytes.size() ? kAlphabet[group & 63U] : '=';
  }
  return out;
}

bool base64_decode(std::string_view text, std::string& bytes) {
  bytes.clear();
  if (text.size() % 4 != 0) return false;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    // Padding is only allowed in the last group; elsewhere '=' is no digit and is refused.
    const bool last = i + 4 == text.size();
    const std::size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2U : 1U) : 0U;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value = k >= 4 - padding ? 0 : digit_value(text[i + k]);
      if (value < 0) return false;
      group = group << 6U | static_cast<std::uint32_t>(value);
    }
    // Bits below the padding must be zero, so that each text has one spelling.
    if ((padding == 1 && (group & 0xffU) != 0) || (padding == 2 && (group & 0xffffU) != 0)) {
      return false;
    }
    bytes += static_cast<char>(group >> 16U);
    if (padding < 2) bytes += static_cast<char>(group >> 8U & 0xffU);
    if (padding < 1) bytes += static_cast<char>(group & 0xffU);
  }
  return true;
}

}  // namespace moored
