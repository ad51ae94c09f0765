// The name of a Git object: twenty bytes, written as forty hexadecimal digits.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace moored::git {

// A SHA-1 object id. Ordered bytewise; the zero id names nothing.
struct ObjectId {
  static constexpr std::size_t kBytes = 20;
  std::array<std::uint8_t, kBytes> bytes{};

  // Reads exactly 40 hexadecimal digits of either case. Nothing: it is something else.
  static std::optional<ObjectId> from_hex(std::string_view text);
  // Takes the first 20 bytes of raw; there must be that many.
  static ObjectId from_raw(std::string_view raw);
  std::string hex() const;

  bool operator==(const ObjectId&) const = default;
  auto operator<=>(const ObjectId&) const = default;
};

// The id is itself a digest: its first bytes are a good hash.
struct ObjectIdHash {
  std::size_t operator()(const ObjectId& id) const {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};

}  // namespace moored::git
