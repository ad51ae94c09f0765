// JSON both ways for the messages of messages.hpp; every member is written and every one required.
#include "gitsync/follow/messages.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/frame_channel.hpp"

namespace moored::git {
namespace {

constexpr std::int64_t kNoWait = -1;

// The worker's own messages are bounded by the frame, not by what people write in a file.
TextLimits message_limits() {
  TextLimits limits;
  limits.file_bytes = FrameChannel::kMaxFrame;
  limits.nodes = 8'000'000;
  return limits;
}

// Reads members of a map; remembers the first that is missing or of another type.
class Reader {
 public:
  explicit Reader(const Value& map) : map_(map) {}

  const Value* member(std::string_view key, Value::Type type) {
    const Value* value = map_.find(key);
    if (value != nullptr && value->type == type) return value;
    if (missing_.empty()) missing_ = key;
    return nullptr;
  }
  std::string text(std::string_view key) {
    const Value* value = member(key, Value::Type::text);
    return value == nullptr ? std::string() : value->scalar;
  }
  bool truth(std::string_view key) {
    const Value* value = member(key, Value::Type::boolean);
    return value != nullptr && value->scalar == "true";
  }
  std::int64_t number(std::string_view key) {
    const Value* value = member(key, Value::Type::integer);
    std::int64_t number = 0;
    if (value == nullptr) return 0;
    const char* end = value->scalar.data() + value->scalar.size();
    const auto parsed = std::from_chars(value->scalar.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) missing_ = key;
    return number;
  }
  std::size_t count(std::string_view key) {
    const std::int64_t value = number(key);
    if (value < 0) missing_ = key;
    return value < 0 ? 0 : static_cast<std::size_t>(value);
  }
  Time time(std::string_view key) {
    const auto time = parse_time(text(key));
    if (!time) missing_ = key;
    return time.value_or(Time{});
  }
  const std::vector<Value>& items(std::string_view key) {
    static const std::vector<Value> kNone;
    const Value* value = member(key, Value::Type::list);
    return value == nullptr ? kNone : value->items;
  }
  // Corrupt when anything was missing.
  Status finish() const {
    if (missing_.empty()) return {};
    return fail(Code::corrupt, "a worker message has no usable " + missing_);
  }

 private:
  const Value& map_;
  std::string missing_;
};

// Writers of one member each; they keep the encoders below readable.
void put_text(Value& map, std::string_view key, const std::string& text) {
  map.put(key, Value::of_text(text));
}
void put_truth(Value& map, std::string_view key, bool truth) {
  map.put(key, Value::of_boolean(truth));
}
void put_count(Value& map, std::string_view key, std::size_t count) {
  map.put(key, Value::of_integer(static_cast<std::int64_t>(count)));
}

// Every part is written, also empty ones: the reader can then insist on all of them.
Value encode_error(const Error& error) {
  Value map = Value::make_map();
  put_text(map, "code", std::string(traits(error.code).name));
  put_text(map, "message", error.message);
  put_text(map, "reason", error.reason);
  put_text(map, "file", error.place.file);
  map.put("line", Value::of_integer(error.place.line));
  map.put("column", Value::of_integer(error.place.column));
  put_text(map, "field", error.place.field);
  put_text(map, "fix", error.fix);
  return map;
}

// A word that is none of ours is our own fault, as is everything odd from our own worker.
Code code_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    if (traits(static_cast<Code>(i)).name == name) return static_cast<Code>(i);
  }
  return Code::internal;
}

// Keeps the first complaint in status, so that a list of errors is judged once.
Error decode_error(const Value& map, Status& status) {
  Reader reader(map);
  Error error;
  error.code = code_named(reader.text("code"));
  error.message = reader.text("message");
  error.reason = reader.text("reason");
  error.place.file = reader.text("file");
  error.place.line = static_cast<int>(reader.number("line"));
  error.place.column = static_cast<int>(reader.number("column"));
  error.place.field = reader.text("field");
  error.fix = reader.text("fix");
  if (status) status = reader.finish();
  return error;
}

// At most kMaxDiagnostics are kept in the first place, so the list is short.
Value encode_errors(const std::vector<Error>& errors) {
  Value list = Value::make_list();
  for (const auto& error : errors) list.items.push_back(encode_error(error));
  return list;
}

// Brings the counts of cut diagnostics over, too.
Diagnostics decode_diagnostics(Reader& reader, Status& status) {
  Diagnostics diagnostics;
  for (const auto& item : reader.items("errors")) {
    diagnostics.add_error(decode_error(item, status));
  }
  for (const auto& item : reader.items("warnings")) {
    diagnostics.add_warning(decode_error(item, status));
  }
  // A count of foreign making must not keep us busy.
  constexpr std::size_t kMostCounted = 1'000'000;
  const std::size_t errors = std::min(reader.count("errorCount"), kMostCounted);
  const std::size_t warnings = std::min(reader.count("warningCount"), kMostCounted);
  while (diagnostics.error_count() < errors) diagnostics.add_error(Error{});
  while (diagnostics.warning_count() < warnings) diagnostics.add_warning(Error{});
  return diagnostics;
}

// In the order of AdmissionPolicy::Level.
constexpr std::array<std::string_view, 3> kLevels{"privileged", "baseline", "restricted"};

// The policy travels with every load: the worker keeps no settings of its own.
Value encode_policy(const AdmissionPolicy& policy) {
  Value map = Value::make_map();
  const auto name = [](AdmissionPolicy::Level level) {
    return std::string(kLevels[static_cast<std::size_t>(level)]);
  };
  put_text(map, "defaultLevel", name(policy.default_level));
  Value& levels = map.put("namespaceLevels", Value::make_map());
  for (const auto& [space, level] : policy.namespace_levels) put_text(levels, space, name(level));
  put_count(map, "maxObjects", policy.max_objects);
  map.put("maxReplicas", Value::of_integer(policy.max_replicas));
  return map;
}

// An unknown level must not fall back to a weaker one.
Result<AdmissionPolicy::Level> level_named(const std::string& name) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == name) return static_cast<AdmissionPolicy::Level>(i);
  }
  return fail(Code::corrupt, "a worker message has an unknown policy level");
}

Result<AdmissionPolicy> decode_policy(const Value& map) {
  Reader reader(map);
  AdmissionPolicy policy;
  MOORED_TRY(policy.default_level, level_named(reader.text("defaultLevel")));
  if (const Value* levels = reader.member("namespaceLevels", Value::Type::map)) {
    for (const auto& [space, level] : levels->members) {
      MOORED_TRY(policy.namespace_levels[space.scalar], level_named(level.scalar));
    }
  }
  policy.max_objects = reader.count("maxObjects");
  policy.max_replicas = static_cast<std::int32_t>(reader.number("maxReplicas"));
  MOORED_CHECK(reader.finish());
  return policy;
}

// The members of Credentials and Proxy by name; one table serves both ways.
struct CredentialRow {
  std::string_view name;
  std::string Credentials::*member;
};
constexpr std::array<CredentialRow, 8> kCredentialRows{
    {{"username", &Credentials::username},
     {"password", &Credentials::password},
     {"bearerToken", &Credentials::bearer_token},
     {"authority", &Credentials::authority},
     {"certificate", &Credentials::certificate},
     {"key", &Credentials::key},
     {"identity", &Credentials::identity},
     {"knownHosts", &Credentials::known_hosts}}};
struct ProxyRow {
  std::string_view name;
  std::string Proxy::*member;
};
constexpr std::array<ProxyRow, 3> kProxyRows{{{"address", &Proxy::address},
                                              {"username", &Proxy::username},
                                              {"password", &Proxy::password}}};

template <class T, class Rows>
Value encode_rows(const T& from, const Rows& rows) {
  Value map = Value::make_map();
  for (const auto& row : rows) put_text(map, row.name, from.*row.member);
  return map;
}

template <class T, class Rows>
Result<T> decode_rows(Reader& reader, std::string_view key, const Rows& rows) {
  T out;
  if (const Value* map = reader.member(key, Value::Type::map)) {
    Reader inner(*map);
    for (const auto& row : rows) out.*row.member = inner.text(row.name);
    MOORED_CHECK(inner.finish());
  }
  return out;
}

void put_texts(Value& map, std::string_view key, const std::vector<std::string>& texts) {
  Value& list = map.put(key, Value::make_list());
  for (const auto& text : texts) list.items.push_back(Value::of_text(text));
}

std::vector<std::string> read_texts(Reader& reader, std::string_view key) {
  std::vector<std::string> texts;
  for (const auto& item : reader.items(key)) texts.push_back(item.scalar);
  return texts;
}

// The worker judges the URL again: it does not rely on who asks.
void put_repository(Value& map, const RepositoryRef& repository) {
  put_text(map, "url", repository.url);
  put_truth(map, "allowLocal", repository.allow_local);
}

// One encoder for each message; the visitor below picks by type.
Value encode_body(const FetchRequest& request) {
  Value map = Value::make_map();
  put_text(map, "do", "fetch");
  put_repository(map, request.repository);
  put_text(map, "reference", request.reference);
  put_text(map, "known", request.known_sha);
  map.put("credentials", encode_rows(request.credentials, kCredentialRows));
  map.put("proxy", encode_rows(request.proxy, kProxyRows));
  put_count(map, "space", request.space);
  return map;
}

Value encode_body(const LoadTreeRequest& request) {
  Value map = Value::make_map();
  put_text(map, "do", "load");
  put_repository(map, request.repository);
  put_text(map, "sha", request.sha);
  put_text(map, "path", request.path);
  put_text(map, "directory", request.directory);
  put_text(map, "targetNamespace", request.target_namespace);
  put_truth(map, "fresh", request.fresh);
  map.put("policy", encode_policy(request.policy));
  put_text(map, "host", request.host);
  put_texts(map, "namespaces", request.rights.namespaces);
  put_texts(map, "kinds", request.rights.kinds);
  put_text(map, "ignore", request.ignore);
  return map;
}

Value encode_body(const ProgressReply&) {
  Value map = Value::make_map();
  put_text(map, "reply", "progress");
  return map;
}

Value encode_body(const HeadReply& head) {
  Value map = Value::make_map();
  put_text(map, "reply", "head");
  put_text(map, "sha", head.commit.sha);
  put_text(map, "author", head.commit.author);
  put_text(map, "subject", head.commit.subject);
  if (head.commit.committed_at) {
    put_text(map, "committedAt", format_time(*head.commit.committed_at));
  }
  put_truth(map, "changed", head.changed);
  put_truth(map, "historyRewritten", head.history_rewritten);
  return map;
}

// Provenance is only the line here: path and source are known to the daemon.
Value encode_body(const FileReply& file) {
  Value map = Value::make_map();
  put_text(map, "reply", "file");
  put_text(map, "path", file.path);
  put_text(map, "id", file.id);
  Value& objects = map.put("objects", Value::make_list());
  for (const auto& object : file.objects) {
    Value entry = Value::make_map();
    entry.put("line", Value::of_integer(object.provenance().line));
    entry.put("object", encode(object));
    objects.items.push_back(std::move(entry));
  }
  return map;
}

Value encode_body(const KeptReply& reply) {
  Value map = Value::make_map();
  put_text(map, "reply", "kept");
  put_count(map, "skipped", reply.skipped);
  put_count(map, "kept", reply.kept);
  return map;
}

Value encode_body(const LoadedReply& loaded) {
  Value map = Value::make_map();
  put_text(map, "reply", "loaded");
  put_truth(map, "complete", loaded.complete);
  map.put("errors", encode_errors(loaded.diagnostics.errors()));
  map.put("warnings", encode_errors(loaded.diagnostics.warnings()));
  put_count(map, "errorCount", loaded.diagnostics.error_count());
  put_count(map, "warningCount", loaded.diagnostics.warning_count());
  put_count(map, "blobsRead", loaded.blobs_read);
  put_count(map, "blobsTotal", loaded.blobs_total);
  put_text(map, "renderedAt", format_micro_time(loaded.rendered_at));
  put_text(map, "validatedAt", format_micro_time(loaded.validated_at));
  return map;
}

Value encode_body(const ErrorReply& reply) {
  Value map = Value::make_map();
  put_text(map, "reply", "error");
  map.put("error", encode_error(reply.error));
  map.put("wait", Value::of_integer(reply.wait ? reply.wait->count() : kNoWait));
  return map;
}

RepositoryRef decode_repository(Reader& reader) {
  return {reader.text("url"), reader.truth("allowLocal")};
}

Result<Request> decode_load(Reader& reader) {
  LoadTreeRequest load;
  load.repository = decode_repository(reader);
  load.sha = reader.text("sha");
  load.path = reader.text("path");
  load.directory = reader.text("directory");
  load.target_namespace = reader.text("targetNamespace");
  load.fresh = reader.truth("fresh");
  load.host = reader.text("host");
  load.rights.namespaces = read_texts(reader, "namespaces");
  load.rights.kinds = read_texts(reader, "kinds");
  load.ignore = reader.text("ignore");
  const Value* policy = reader.member("policy", Value::Type::map);
  MOORED_CHECK(reader.finish());
  MOORED_TRY(load.policy, decode_policy(*policy));
  return Request(std::move(load));
}

Result<Reply> decode_head(const Value& map, Reader& reader) {
  HeadReply head;
  head.commit.sha = reader.text("sha");
  head.commit.author = reader.text("author");
  head.commit.subject = reader.text("subject");
  if (map.find("committedAt") != nullptr) head.commit.committed_at = reader.time("committedAt");
  head.changed = reader.truth("changed");
  head.history_rewritten = reader.truth("historyRewritten");
  MOORED_CHECK(reader.finish());
  return Reply(std::move(head));
}

// Objects are read as stored ones: defaults and checks were done by the worker.
Result<Object> decode_object(const Value& entry) {
  Reader reader(entry);
  Provenance provenance;
  provenance.line = static_cast<int>(reader.number("line"));
  const Value* body = reader.member("object", Value::Type::map);
  MOORED_CHECK(reader.finish());
  Reader names(*body);
  const Kind* kind = find_kind(names.text("apiVersion"), names.text("kind"));
  if (kind == nullptr) return fail(Code::corrupt, "a worker message has an unknown kind");
  MOORED_TRY(const Object object, decode_stored(*kind, *body));
  return object.with_provenance(std::move(provenance));
}

// The object list is bounded by the frame that it came in.
Result<Reply> decode_file(Reader& reader) {
  FileReply file;
  file.path = reader.text("path");
  file.id = reader.text("id");
  for (const auto& entry : reader.items("objects")) {
    MOORED_TRY(Object object, decode_object(entry));
    file.objects.push_back(std::move(object));
  }
  MOORED_CHECK(reader.finish());
  return Reply(std::move(file));
}

Result<Reply> decode_kept(Reader& reader) {
  KeptReply reply;
  reply.skipped = reader.count("skipped");
  reply.kept = reader.count("kept");
  MOORED_CHECK(reader.finish());
  return Reply(reply);
}

Result<Reply> decode_loaded(Reader& reader) {
  LoadedReply loaded;
  Status status;
  loaded.complete = reader.truth("complete");
  loaded.diagnostics = decode_diagnostics(reader, status);
  loaded.blobs_read = reader.count("blobsRead");
  loaded.blobs_total = reader.count("blobsTotal");
  loaded.rendered_at = reader.time("renderedAt");
  loaded.validated_at = reader.time("validatedAt");
  MOORED_CHECK(std::move(status));
  MOORED_CHECK(reader.finish());
  return Reply(std::move(loaded));
}

Result<Reply> decode_failed(Reader& reader) {
  const Value* error = reader.member("error", Value::Type::map);
  const std::int64_t wait = reader.number("wait");
  MOORED_CHECK(reader.finish());
  Status status;
  ErrorReply reply{decode_error(*error, status), {}};
  if (wait >= 0) reply.wait = std::chrono::seconds(wait);
  MOORED_CHECK(std::move(status));
  return Reply(std::move(reply));
}

// The first thing that foreign bytes meet: JSON of bounded size and depth, and an object.
Result<Value> read_map(std::string_view message) {
  auto value = read_json(message, {}, message_limits());
  if (!value || !value->is_map()) return fail(Code::corrupt, "a worker message is no JSON object");
  return value;
}

}  // namespace

UnitKey key_of(const LoadTreeRequest& request) {
  return {request.repository.url, request.directory, request.path, request.target_namespace};
}

// Only requests carry the version: a worker that does not know it never answers.
std::string encode_request(const Request& request) {
  Value map = std::visit([](const auto& body) { return encode_body(body); }, request);
  map.put("version", Value::of_integer(kProtocolVersion));
  return write_json(map);
}

std::string encode_reply(const Reply& reply) {
  return write_json(std::visit([](const auto& body) { return encode_body(body); }, reply));
}

Result<Request> decode_request(std::string_view message) {
  MOORED_TRY(const Value map, read_map(message));
  Reader reader(map);
  if (reader.number("version") != kProtocolVersion) {
    return fail(Code::corrupt, "the daemon speaks another version of the worker protocol");
  }
  const std::string verb = reader.text("do");
  if (verb == "load") return decode_load(reader);
  if (verb != "fetch") return fail(Code::corrupt, "an unknown request to the worker");
  FetchRequest fetch;
  fetch.repository = decode_repository(reader);
  fetch.reference = reader.text("reference");
  fetch.known_sha = reader.text("known");
  MOORED_TRY(fetch.credentials,
             (decode_rows<Credentials>(reader, "credentials", kCredentialRows)));
  MOORED_TRY(fetch.proxy, (decode_rows<Proxy>(reader, "proxy", kProxyRows)));
  fetch.space = reader.count("space");
  MOORED_CHECK(reader.finish());
  return Request(std::move(fetch));
}

Result<Reply> decode_reply(std::string_view message) {
  MOORED_TRY(const Value map, read_map(message));
  Reader reader(map);
  const std::string type = reader.text("reply");
  if (type == "progress") return Reply(ProgressReply{});
  if (type == "head") return decode_head(map, reader);
  if (type == "file") return decode_file(reader);
  if (type == "kept") return decode_kept(reader);
  if (type == "loaded") return decode_loaded(reader);
  if (type == "error") return decode_failed(reader);
  return fail(Code::corrupt, "an unknown reply of the worker");
}

}  // namespace moored::git
