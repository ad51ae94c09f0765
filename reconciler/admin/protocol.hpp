// The admin socket's lines: one request {"verb": …, …} and replies {"progress": …}* then
// {"result": …} or {"error": {code, reason, message, fix}}. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "reconciler/admin/verbs.hpp"

namespace moored {

// Limits of one line, in bytes.
inline constexpr std::size_t kMaxAdminRequest = 64U << 10U;
inline constexpr std::size_t kMaxAdminReply = 16U << 20U;

// Line without the newline at its end.
std::string encode_admin_request(const AdminVerb& verb);
// Errors: invalid (not JSON, an unknown verb or field, a wrong type, a missing field).
Result<AdminVerb> decode_admin_request(std::string_view line);

// One reply: exactly one of the three is set.
struct AdminReply {
  std::optional<Value> progress;
  std::optional<Value> result;
  std::optional<Error> error;
};
std::string encode_admin_reply(const AdminReply& reply);
// Errors: corrupt (the other side does not speak this protocol).
Result<AdminReply> decode_admin_reply(std::string_view line);

// The code of a name in the table of codes; nothing for an unknown name.
std::optional<Code> find_code(std::string_view name);

}  // namespace moored
