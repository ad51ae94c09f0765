#include "net/api/reviews.hpp"

#include <array>
#include <cstdint>
#include <span>

#include "net/api/failure.hpp"
#include "schema/codec/text.hpp"

namespace moored::net::api {
namespace {

// Kubernetes puts these four bytes before every protobuf body.
constexpr std::string_view kEnvelope{"k8s\0", 4};
constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";

Unexpected cut_short() {
  return fail(Code::invalid, "the protobuf body is cut short");
}

// Reads a base-128 number off the front of bytes.
Result<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (bytes.empty()) return cut_short();
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    number |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) return number;
  }
  return fail(Code::invalid, "the protobuf body holds a number that is too long");
}

// Sizes come from the client: compared before use, without adding to them.
Result<std::string_view> take_bytes(std::string_view& bytes, std::uint64_t size) {
  if (size > bytes.size()) return cut_short();
  const auto taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return taken;
}

// One field: its number, and its bytes when it is length-delimited (others are skipped).
struct WireField {
  std::uint64_t number = 0;
  bool delimited = false;
  std::string_view bytes;
};

// How many bytes follow the tag of a field of this wire type, beyond a number that says so.
Result<std::uint64_t> body_size(std::uint64_t wire_type, std::string_view& message) {
  switch (wire_type) {
    case 0: {
      const auto number = take_varint(message);
      return number ? Result<std::uint64_t>(std::uint64_t{0}) : number;
    }
    case 1:
      return std::uint64_t{8};
    case 2:
      return take_varint(message);
    case 5:
      return std::uint64_t{4};
    default:
      return fail(Code::invalid, "the protobuf body holds a field of an unknown type");
  }
}

// The tag holds the number above three bits of wire type.
Result<WireField> take_field(std::string_view& message) {
  MOORED_TRY(const auto tag, take_varint(message));
  WireField field;
  field.number = tag >> 3U;
  field.delimited = (tag & 7U) == 2;
  MOORED_TRY(const auto size, body_size(tag & 7U, message));
  MOORED_TRY(field.bytes, take_bytes(message, size));
  return field;
}

// The last length-delimited field of a number, or empty.
Result<std::string_view> find_message(std::string_view message, std::uint64_t number) {
  std::string_view found;
  while (!message.empty()) {
    MOORED_TRY(const auto field, take_field(message));
    if (field.delimited && field.number == number) found = field.bytes;
  }
  return found;
}

// Text fields by number, in order from 1; an empty name is skipped.
Result<Value> decode_texts(std::string_view message, std::span<const std::string_view> names) {
  Value out = Value::make_map();
  while (!message.empty()) {
    MOORED_TRY(const auto field, take_field(message));
    if (!field.delimited || field.number == 0 || field.number > names.size()) continue;
    const auto name = names[field.number - 1];
    if (out.find(name) == nullptr) out.put(name, Value::of_text(std::string(field.bytes)));
  }
  return out;
}

// Field names of ResourceAttributes, NonResourceAttributes and the rules review's spec, by
// number. Source: k8s.io/api/authorization/v1, generated.proto.
constexpr std::array<std::string_view, 7> kResourceNames{
    "namespace", "verb", "group", "version", "resource", "subresource", "name"};
constexpr std::array<std::string_view, 2> kPathNames{"path", "verb"};
constexpr std::array<std::string_view, 1> kRulesNames{"namespace"};

// By its beginning, as parameters may follow the type.
bool is_protobuf(const Request& request) {
  return request.header("content-type").substr(0, kProtobuf.size()) == kProtobuf;
}

// JSON, protobuf or nothing said; and not compressed.
bool is_known_type(const Request& request) {
  constexpr std::string_view kJson = "application/json";
  const auto type = request.header("content-type");
  const auto coding = request.header("content-encoding");
  if (!coding.empty() && !same_name(coding, "identity")) return false;
  return type.empty() || same_name(type.substr(0, kJson.size()), kJson) || is_protobuf(request);
}

// A review without a spec is answered like one with an empty spec.
Result<Value> read_spec(const Request& request, bool rules) {
  if (is_protobuf(request)) {
    return decode_review_spec(request.body, rules);
  }
  MOORED_TRY(const auto document, read_json(request.body));
  const auto* spec = document.find("spec");
  return spec != nullptr && spec->is_map() ? *spec : Value::make_map();
}

std::string text_of(const Value* map, std::string_view name) {
  const auto* node = map != nullptr ? map->find(name) : nullptr;
  return node != nullptr ? node->scalar : std::string{};
}

// Everything that can be read may be read by whoever reaches the server.
bool is_read_verb(const std::string& verb) {
  return verb == "get" || verb == "list" || verb == "watch";
}

Value texts(std::initializer_list<std::string_view> items) {
  Value list = Value::make_list();
  for (const auto item : items)
    list.items.push_back(Value::of_text(std::string(item)));
  return list;
}

// One of the two attributes is set; which one makes no difference to the answer.
Value access_status(const Value& spec) {
  auto verb = text_of(spec.find("resourceAttributes"), "verb");
  if (verb.empty()) verb = text_of(spec.find("nonResourceAttributes"), "verb");
  Value status = Value::make_map();
  status.put("allowed", Value::of_boolean(is_read_verb(verb)));
  if (!is_read_verb(verb)) status.put("reason", Value::of_text("moored is read-only"));
  return status;
}

// Complete: tools that list what is allowed need to ask for nothing more.
Value rules_status() {
  Value resource_rule = Value::make_map();
  resource_rule.put("verbs", texts({"get", "list", "watch"}));
  resource_rule.put("apiGroups", texts({"*"}));
  resource_rule.put("resources", texts({"*"}));
  Value path_rule = Value::make_map();
  path_rule.put("verbs", texts({"get"}));
  path_rule.put("nonResourceURLs", texts({"*"}));
  Value status = Value::make_map();
  status.put("resourceRules", Value::make_list()).items.push_back(std::move(resource_rule));
  status.put("nonResourceRules", Value::make_list()).items.push_back(std::move(path_rule));
  status.put("incomplete", Value::of_boolean(false));
  return status;
}

// Without tokens every client is the anonymous one, as Kubernetes calls it.
Value identity_status(const std::string& name) {
  Value user = Value::make_map();
  const bool known = !name.empty();
  user.put("username", Value::of_text(known ? name : "system:anonymous"));
  user.put("groups", texts({known ? "system:authenticated" : "system:unauthenticated"}));
  Value status = Value::make_map();
  status.put("userInfo", std::move(user));
  return status;
}

}  // namespace

Result<Value> decode_review_spec(std::string_view body, bool rules) {
  if (body.substr(0, kEnvelope.size()) != kEnvelope) {
    return fail(Code::invalid, "the body is not a Kubernetes protobuf envelope");
  }
  body.remove_prefix(kEnvelope.size());
  MOORED_TRY(const auto object, find_message(body, 2));
  MOORED_TRY(const auto spec, find_message(object, 2));
  if (rules) return decode_texts(spec, kRulesNames);
  Value out = Value::make_map();
  MOORED_TRY(const auto resource, find_message(spec, 1));
  MOORED_TRY(const auto path, find_message(spec, 2));
  if (!resource.empty()) {
    MOORED_TRY(auto attributes, decode_texts(resource, kResourceNames));
    out.put("resourceAttributes", std::move(attributes));
  }
  if (!path.empty()) {
    MOORED_TRY(auto attributes, decode_texts(path, kPathNames));
    out.put("nonResourceAttributes", std::move(attributes));
  }
  return out;
}

Response answer_review(const Resource& resource, const Request& request) {
  if (!is_known_type(request)) {
    Failure failure = bad_request(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/vnd.kubernetes.protobuf");
    failure.code = 415;
    failure.reason = "UnsupportedMediaType";
    return refuse(failure);
  }
  const bool rules = resource.kind == "SelfSubjectRulesReview";
  const bool identity = resource.kind == "SelfSubjectReview";
  auto spec = identity ? Result<Value>(Value::make_map()) : read_spec(request, rules);
  if (!spec) return refuse(bad_request(spec.error().message));
  Value review = Value::make_map();
  review.put("kind", Value::of_text(std::string(resource.kind)));
  review.put("apiVersion", Value::of_text(resource.api_version()));
  review.put("metadata", Value::make_map()).put("creationTimestamp", Value{});
  if (identity) {
    review.put("status", identity_status(request.user));
    return make_json(write_json(review), 201);
  }
  Value status = rules ? rules_status() : access_status(*spec);
  review.put("spec", *std::move(spec));
  review.put("status", std::move(status));
  return make_json(write_json(review), 201);
}

}  // namespace moored::net::api
