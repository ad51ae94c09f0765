#include "runtime/image/registry_wire.hpp"

#include <charconv>

#include "schema/codec/text.hpp"

namespace moored::image {
namespace {

// The first byte of a frame of bytes; JSON never starts with it.
constexpr char kPieceTag = 'D';
// Certificates of a private authority are the longest part of a message.
constexpr std::size_t kMaxMessageBytes = 2U << 20U;

Unexpected nonsense(const char* what) {
  return fail(Code::corrupt, std::string("moored-pull and the daemon do not agree: ") + what);
}

std::string text_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  return value == nullptr ? std::string() : value->scalar;
}

std::int64_t number_of(const Value& map, std::string_view key) {
  const auto text = text_of(map, key);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void put_text(Value& map, std::string_view key, const std::string& text) {
  if (!text.empty()) map.put(key, Value::of_text(text));
}

Value write_access(const RegistryAccess& access) {
  auto map = Value::make_map();
  put_text(map, "base", access.base);
  put_text(map, "repository", access.repository);
  put_text(map, "origin", access.origin);
  put_text(map, "certificates", access.certificates);
  map.put("idle", Value::of_integer(access.idle_seconds));
  map.put("total", Value::of_integer(access.total_seconds));
  auto logins = Value::make_list();
  for (const auto& login : access.logins) {
    auto one = Value::make_map();
    put_text(one, "user", login.user);
    put_text(one, "password", login.password);
    put_text(one, "token", login.identity_token);
    logins.items.push_back(std::move(one));
  }
  map.put("logins", std::move(logins));
  auto realms = Value::make_list();
  for (const auto& realm : access.realms) realms.items.push_back(Value::of_text(realm));
  map.put("realms", std::move(realms));
  return map;
}

RegistryAccess read_access(const Value& map) {
  RegistryAccess access;
  access.base = text_of(map, "base");
  access.repository = text_of(map, "repository");
  access.origin = text_of(map, "origin");
  access.certificates = text_of(map, "certificates");
  access.idle_seconds = number_of(map, "idle");
  access.total_seconds = number_of(map, "total");
  if (const auto* logins = map.find("logins")) {
    for (const auto& one : logins->items) {
      access.logins.push_back(
          {text_of(one, "user"), text_of(one, "password"), text_of(one, "token")});
    }
  }
  if (const auto* realms = map.find("realms")) {
    for (const auto& realm : realms->items) access.realms.push_back(realm.scalar);
  }
  return access;
}

Result<Value> read_map(std::string_view message) {
  TextLimits limits;
  limits.file_bytes = kMaxMessageBytes;
  auto value = read_json(message, {}, limits);
  if (!value || !value->is_map()) return nonsense("a message is no object");
  return value;
}

Result<Error> read_failure(const Value& map) {
  const auto name = text_of(map, "error");
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    if (traits(static_cast<Code>(i)).name != name) continue;
    return Error{static_cast<Code>(i), text_of(map, "message"), text_of(map, "reason"), {},
                 text_of(map, "fix")};
  }
  return nonsense("an error of an unknown kind");
}

}  // namespace

std::string write_ask(const RegistryAsk& ask) {
  auto map = Value::make_map();
  if (ask.kind == RegistryAsk::Kind::access) {
    map.put("access", write_access(ask.access));
    return write_json(map);
  }
  map.put(ask.kind == RegistryAsk::Kind::manifest ? "manifest" : "blob",
          Value::of_text(ask.reference));
  map.put("offset", Value::of_integer(ask.offset));
  map.put("limit", Value::of_integer(ask.limit));
  return write_json(map);
}

Result<RegistryAsk> read_ask(std::string_view message) {
  MOORED_TRY(const auto map, read_map(message));
  RegistryAsk ask;
  if (const auto* access = map.find("access")) {
    ask.access = read_access(*access);
    return ask;
  }
  const bool manifest = map.find("manifest") != nullptr;
  ask.kind = manifest ? RegistryAsk::Kind::manifest : RegistryAsk::Kind::blob;
  ask.reference = text_of(map, manifest ? "manifest" : "blob");
  ask.offset = number_of(map, "offset");
  ask.limit = number_of(map, "limit");
  if (ask.reference.empty()) return nonsense("nothing is asked for");
  return ask;
}

std::string write_head(const RegistryHead& head) {
  auto map = Value::make_map();
  map.put("type", Value::of_text(head.media_type));
  put_text(map, "digest", head.digest);
  map.put("offset", Value::of_integer(head.offset));
  return write_json(map);
}

std::string write_piece(std::string_view bytes) {
  std::string out(1, kPieceTag);
  return out.append(bytes);
}

std::string write_end() { return R"({"end":true})"; }

std::string write_failure(const Error& error) {
  auto map = Value::make_map();
  map.put("error", Value::of_text(std::string(traits(error.code).name)));
  put_text(map, "message", error.message);
  put_text(map, "reason", error.reason);
  put_text(map, "fix", error.fix);
  return write_json(map);
}

Result<RegistryAnswer> read_answer(std::string_view message) {
  RegistryAnswer answer;
  if (!message.empty() && message.front() == kPieceTag) {
    answer.kind = RegistryAnswer::Kind::piece;
    answer.piece = message.substr(1);
    return answer;
  }
  MOORED_TRY(const auto map, read_map(message));
  if (map.find("end") != nullptr) return answer;
  if (map.find("error") != nullptr) {
    answer.kind = RegistryAnswer::Kind::error;
    MOORED_TRY(answer.error, read_failure(map));
    return answer;
  }
  if (map.find("type") == nullptr) return nonsense("an answer of an unknown kind");
  answer.kind = RegistryAnswer::Kind::head;
  answer.head = {text_of(map, "type"), text_of(map, "digest"), number_of(map, "offset")};
  return answer;
}

}  // namespace moored::image
