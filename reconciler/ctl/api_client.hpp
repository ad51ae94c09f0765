// HTTP towards our own daemon's API, and nobody else's.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "reconciler/ctl/endpoint.hpp"
#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored::ctl {

// Speaks to one daemon. The library underneath must never meet a server that is not ours: its
// client can be ended by a malformed answer, so --server is for moored's own address alone.
class ApiClient {
 public:
  // Bytes of one answer that are read; a longer one is an error.
  static constexpr std::size_t kMaxAnswer = 64U << 20U;

  // Errors: invalid (no such URL).
  static Result<ApiClient> create(Endpoint endpoint);

  // The JSON answer to a GET of a path with query, such as /history?limit=5.
  // Errors: unavailable (nobody answers), corrupt (not JSON), exhausted, and whatever the daemon's
  // Status object says.
  Result<Value> get_json(const std::string& path) const;
  // Hands the bytes of an answer on as they come, until its end or until take returns false.
  Status stream(const std::string& path, const std::function<bool(std::string_view)>& take) const;

 private:
  explicit ApiClient(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}
  Endpoint endpoint_;
};

// A text as one part of a path or a value of a query.
std::string encode_uri_part(std::string_view text);

}  // namespace moored::ctl
