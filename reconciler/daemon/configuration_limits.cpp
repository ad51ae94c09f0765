// The limits of moored.yaml: their rows, and what they become.
#include "reconciler/daemon/configuration.hpp"
#include "reconciler/daemon/configuration_rules.hpp"
#include "schema/codec/text.hpp"

namespace moored {

template <>
const TypeSchema& schema_of<ApiLimitsSetting>();
template <>
const TypeSchema& schema_of<LimitsSetting>();

namespace {

constexpr std::string_view kApi = "net/api";
constexpr std::int64_t kKibi = 1024;
constexpr std::int64_t kMebi = 1024 * kKibi;

// Below the first nothing would work, beyond the second nothing would be limited.
template <std::int64_t kLeast, std::int64_t kMost>
std::optional<Error> check_between(const void* value) {
  const auto number = *static_cast<const std::int64_t*>(value);
  if (number >= kLeast && number <= kMost) return std::nullopt;
  return bad_setting("the limit must lie between " + std::to_string(kLeast) + " and " +
                     std::to_string(kMost));
}

std::optional<Error> check_time(const void* value) {
  const auto duration = parse_duration(*static_cast<const std::string*>(value));
  constexpr auto kLongest = std::chrono::hours(1);
  if (duration && *duration >= std::chrono::seconds(1) && *duration <= kLongest) {
    return std::nullopt;
  }
  return bad_setting("the time must lie between a second and an hour", "write for instance 10s");
}

using Api = ApiLimitsSetting;
constexpr Field kApiFields[] = {
    field<&Api::request_line_bytes>("requestLineBytes",
                                    {.check = &check_between<1 * kKibi, 64 * kKibi>,
                                     .carried_by = kApi,
                                     .doc = "one request line; then 414"}),
    field<&Api::header_bytes>("headerBytes", {.check = &check_between<1 * kKibi, 64 * kKibi>,
                                              .carried_by = kApi,
                                              .doc = "one header line; then 431"}),
    field<&Api::headers_bytes>("headersBytes", {.check = &check_between<1 * kKibi, 1 * kMebi>,
                                                .carried_by = kApi,
                                                .doc = "all header lines; then 431"}),
    field<&Api::headers>(
        "headers",
        {.check = &check_between<10, 1000>, .carried_by = kApi, .doc = "header lines; then 431"}),
    field<&Api::body_bytes>("bodyBytes", {.check = &check_between<4 * kKibi, 16 * kMebi>,
                                          .carried_by = kApi,
                                          .doc = "body of a review or dry run; then 413"}),
    field<&Api::header_time>(
        "headerTime",
        {.check = &check_time, .carried_by = kApi, .doc = "for the head of a request"}),
    field<&Api::idle_time>(
        "idleTime", {.check = &check_time, .carried_by = kApi, .doc = "between two requests"}),
    field<&Api::body_time>(
        "bodyTime", {.check = &check_time, .carried_by = kApi, .doc = "for the body of a request"}),
    field<&Api::write_time>(
        "writeTime",
        {.check = &check_time, .carried_by = kApi, .doc = "to take one piece of an answer"}),
    field<&Api::connections>(
        "connections",
        {.check = &check_between<8, 65'536>, .carried_by = kApi, .doc = "open connections"}),
    field<&Api::connections_per_address>(
        "connectionsPerAddress",
        {.check = &check_between<1, 65'536>, .carried_by = kApi, .doc = "of one address"}),
    field<&Api::streams>("streams", {.check = &check_between<1, 65'536>,
                                     .carried_by = kApi,
                                     .doc = "watches and followed logs; then 429"}),
    field<&Api::held_bytes>("heldBytes", {.check = &check_between<1 * kMebi, 16'384 * kMebi>,
                                          .carried_by = kApi,
                                          .doc = "answers being sent; then 429"}),
    field<&Api::pull_bytes>("streamBytes", {.check = &check_between<4 * kKibi, 16 * kMebi>,
                                            .carried_by = kApi,
                                            .doc = "held for one reader of a stream"}),
};
constexpr Field kLimitsFields[] = {
    field<&LimitsSetting::api>("api", {.carried_by = kApi, .doc = "limits of the API"}),
};

template <class Number>
void choose(Number& target, const std::optional<std::int64_t>& setting) {
  if (setting) target = static_cast<Number>(*setting);
}

// Durations were checked when they were read.
void choose_time(std::chrono::milliseconds& target, const std::string& setting) {
  const auto duration = setting.empty() ? std::nullopt : parse_duration(setting);
  if (duration) target = std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
}

}  // namespace

template <>
const TypeSchema& schema_of<ApiLimitsSetting>() {
  static const TypeSchema schema{"limits.api", std::span<const Field>(kApiFields)};
  return schema;
}
template <>
const TypeSchema& schema_of<LimitsSetting>() {
  static const TypeSchema schema{"limits", std::span<const Field>(kLimitsFields)};
  return schema;
}

Result<net::api::TransportLimits> merge_limits(const LimitsSetting& setting) {
  const auto api = setting.api.value_or(ApiLimitsSetting{});
  net::api::TransportLimits out;
  choose(out.head.request_line_bytes, api.request_line_bytes);
  choose(out.head.header_line_bytes, api.header_bytes);
  choose(out.head.total_bytes, api.headers_bytes);
  choose(out.head.headers, api.headers);
  choose(out.body_bytes, api.body_bytes);
  choose(out.held_bytes, api.held_bytes);
  choose(out.pull_bytes, api.pull_bytes);
  choose(out.connections, api.connections);
  choose(out.per_address, api.connections_per_address);
  choose(out.streams, api.streams);
  choose_time(out.header_time, api.header_time);
  choose_time(out.idle_time, api.idle_time);
  choose_time(out.body_time, api.body_time);
  choose_time(out.write_time, api.write_time);
  if (out.head.header_line_bytes > out.head.total_bytes) {
    return Unexpected(bad_setting("limits.api.headerBytes is above limits.api.headersBytes",
                                  "one header cannot be longer than all of them"));
  }
  if (out.per_address > out.connections) {
    return Unexpected(
        bad_setting("limits.api.connectionsPerAddress is above limits.api.connections",
                    "one address cannot have more than all of them"));
  }
  return out;
}

}  // namespace moored
