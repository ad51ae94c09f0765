// Forty digits to twenty bytes and back.
#include "gitsync/repo/object_id.hpp"

#include "schema/base/assert.hpp"

namespace moored::git {
namespace {

// The value of a hexadecimal digit, or -1.
int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

// Short ids are not read: what a short one means changes with every push.
std::optional<ObjectId> ObjectId::from_hex(std::string_view text) {
  if (text.size() != kBytes * 2) return std::nullopt;
  ObjectId id;
  for (std::size_t i = 0; i < kBytes; ++i) {
    const int high = digit_of(text[2 * i]);
    const int low = digit_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

ObjectId ObjectId::from_raw(std::string_view raw) {
  MOORED_ASSERT(raw.size() >= kBytes);
  ObjectId id;
  std::memcpy(id.bytes.data(), raw.data(), kBytes);
  return id;
}

std::string ObjectId::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(kBytes * 2, '0');
  for (std::size_t i = 0; i < kBytes; ++i) {
    text[2 * i] = kDigits[bytes[i] >> 4U];
    text[2 * i + 1] = kDigits[bytes[i] & 15U];
  }
  return text;
}

}  // namespace moored::git
