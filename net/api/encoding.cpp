#include "net/api/encoding.hpp"

#include <array>
#include <utility>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"

namespace moored::net::api {
namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// A Secret with its keys and without its values.
Object withhold_values(const Object& object) {
  Secret secret = object.as<Secret>();
  for (auto& [key, value] : secret.data)
    value.clear();
  for (auto& [key, value] : secret.string_data)
    value.clear();
  // kubectl apply keeps the whole Secret in this annotation, values included.
  const auto applied = secret.metadata.annotations.find(std::string(kLastApplied));
  if (applied != secret.metadata.annotations.end()) applied->second.clear();
  secret.metadata.annotations[std::string(kWithheldAnnotation)] = kWithheldText;
  return make_object(std::move(secret), object.provenance());
}

// A copy only when there is something to hide: most URLs hold no credentials.
Object hide_url(const Object& object) {
  const auto& url = object.as<GitRepository>().spec.url;
  auto hidden = hide_credentials(url);
  if (hidden == url) return object;
  GitRepository source = object.as<GitRepository>();
  source.spec.url = std::move(hidden);
  return make_object(std::move(source), object.provenance());
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kEventNames{{
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
}};

// In place and by the keys alone: the values of both forms read the same.
void rename_event_fields(Value& document) {
  for (auto& [key, value] : document.members) {
    for (const auto& [core, renamed] : kEventNames) {
      if (key.scalar == core) {
        key.scalar = renamed;
        break;
      }
    }
  }
}

// One stored kind is served under several versions whose fields are the same.
void set_api_version(Value& document, const std::string& api_version) {
  for (auto& [key, value] : document.members) {
    if (key.scalar == "apiVersion") value.scalar = api_version;
  }
}

// What a path reads as when the field is absent because it has its zero value.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kAbsent{{
    {"spec.unschedulable", "false"},
    {"spec.hostNetwork", "false"},
    {"status.replicas", "0"},
    {"status.successful", "0"},
}};

// A selector spec.unschedulable=false must find nodes that do not mention the field.
std::string absent_text(std::string_view path) {
  for (const auto& [known, text] : kAbsent) {
    if (known == path) return std::string(text);
  }
  return {};
}

Value* find_member(Value& map, std::string_view name) {
  for (auto& [key, value] : map.members) {
    if (key.scalar == name) return &value;
  }
  return nullptr;
}

// While the daemon answers, it is alive: it would be a write a minute to record that.
void put_heartbeats(Value& document, Time moment) {
  auto* status = find_member(document, "status");
  auto* conditions = status != nullptr ? find_member(*status, "conditions") : nullptr;
  if (conditions == nullptr) return;
  for (auto& condition : conditions->items) {
    condition.put("lastHeartbeatTime", Value::of_text(format_time(moment)));
  }
}

}  // namespace

std::string text_at(const Value& document, std::string_view path) {
  const auto whole = path;
  const Value* node = &document;
  while (!path.empty()) {
    const auto dot = path.find('.');
    node = node->find(path.substr(0, dot));
    if (node == nullptr) return absent_text(whole);
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return node->scalar;
}

std::string hide_credentials(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const auto host = scheme + 3;
  const auto end = url.find('/', host);
  // The last @ before the path: a password may hold one itself.
  const auto at = url.substr(host, end == std::string::npos ? end : end - host).rfind('@');
  if (at == std::string::npos) return url;
  return url.substr(0, host) + "***" + url.substr(host + at);
}

Object withhold(const Object& object) {
  if (object.is<Secret>()) return withhold_values(object);
  if (object.is<GitRepository>()) return hide_url(object);
  return object;
}

Value present(const Resource& resource, const Object& object) {
  Value document = encode(withhold(object));
  if (resource.rewrite == Rewrite::none) return document;
  set_api_version(document, resource.api_version());
  if (resource.rewrite == Rewrite::event) rename_event_fields(document);
  return document;
}

bool tells_time(const Kind& kind) {
  return &kind == &kind_of<Node>() || &kind == &kind_of<Lease>();
}

Encoded encode_for(const Resource& resource, const Object& object, std::optional<Time> moment) {
  Value document = present(resource, object);
  if (moment && object.is<Node>()) put_heartbeats(document, *moment);
  Encoded encoded;
  encoded.whole = write_json(document);
  const auto* metadata = document.find("metadata");
  encoded.metadata = metadata != nullptr ? write_json(*metadata) : "{}";
  // Selectors keep the names of the stored kind, whatever the resource calls them.
  const Value stored = resource.rewrite == Rewrite::event ? encode(object) : Value{};
  const Value& named = resource.rewrite == Rewrite::event ? stored : document;
  for (const auto path : object.kind().selectable) {
    encoded.selectable.push_back(text_at(named, path));
  }
  return encoded;
}

std::shared_ptr<const Encoded> EncodingCache::get(const Resource& resource, const Object& object) {
  const auto& meta = object.meta();
  // Made for this reply and never stored, so nothing would tell two of them apart.
  if (moment_ || meta.uid.empty() || meta.resource_version.empty()) {
    return std::make_shared<const Encoded>(encode_for(resource, object, moment_));
  }
  std::string key = resource.api_version();
  key.append("/").append(meta.uid).append("/").append(meta.resource_version);
  auto found = halves_.with([&](Halves& halves) -> std::shared_ptr<const Encoded> {
    if (const auto it = halves.young.find(key); it != halves.young.end()) return it->second;
    const auto it = halves.old.find(key);
    if (it == halves.old.end()) return nullptr;
    auto encoded = it->second;
    // Used again: moved to the young half, so that it survives when the old one is dropped.
    keep(halves, key, encoded);
    return encoded;
  });
  if (found) {
    ++hits_;
    return found;
  }
  ++misses_;
  // Encoded outside of the lock. Two threads may do it at once; both results are the same.
  auto made = std::make_shared<const Encoded>(encode_for(resource, object));
  halves_.with([&](Halves& halves) { keep(halves, key, made); });
  return made;
}

// Two halves instead of a list by age: dropping is one swap, and a hit needs no reordering.
void EncodingCache::keep(Halves& halves, const std::string& key,
                         std::shared_ptr<const Encoded> encoded) const {
  const auto bytes = encoded->whole.size() + encoded->metadata.size() + key.size();
  if (bytes > half_bytes_) return;
  if (halves.young_bytes + bytes > half_bytes_) {
    halves.old = std::exchange(halves.young, {});
    halves.old_bytes = std::exchange(halves.young_bytes, 0);
  }
  if (halves.young.emplace(key, std::move(encoded)).second) halves.young_bytes += bytes;
}

void EncodingCache::drop() {
  halves_.with([](Halves& halves) { halves = {}; });
}

std::size_t EncodingCache::size_bytes() const {
  return halves_.with([](const Halves& h) { return h.young_bytes + h.old_bytes; });
}

}  // namespace moored::net::api
