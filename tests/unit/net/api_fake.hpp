// A recorded state for the API's tests: objects put in by hand, with a complete history.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/api/routes.hpp"
#include "schema/base/guarded.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/reports.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::test {

// One consistent reading.
class FakeView final : public StateView {
 public:
  FakeView(std::int64_t version, std::map<ObjectKey, Object> objects)
      : version_(version), objects_(std::move(objects)) {}

  std::int64_t resource_version() const override { return version_; }
  std::optional<Object> find(const ObjectKey& key) const override {
    const auto it = objects_.find(key);
    return it != objects_.end() ? std::optional(it->second) : std::nullopt;
  }
  std::vector<Object> list(const Kind& kind, const std::string& space) const override {
    std::vector<Object> found;
    for (const auto& [key, object] : objects_) {
      if (key.kind == &kind && (space.empty() || key.namespace_name == space)) {
        found.push_back(object);
      }
    }
    return found;
  }
  std::vector<Object> list_owned(const Kind& kind, const std::string& uid) const override {
    std::vector<Object> found;
    for (const auto& object : list(kind, {})) {
      for (const auto& owner : object.meta().owner_references) {
        if (owner.uid == uid) found.push_back(object);
      }
    }
    return found;
  }

 private:
  std::int64_t version_;
  std::map<ObjectKey, Object> objects_;
};

// Keeps every change since the start, or since forget_before().
class FakeState final : public StateSource, public RevisionSignal {
 public:
  // Puts an object in: uid on the first time, a new version always. Gives the version.
  template <class T>
  std::int64_t put(T value) {
    return commit(kind_of<T>(),
                  [&](std::int64_t version, const Object* before) {
                    auto& meta = value.metadata;
                    meta.uid = before != nullptr ? before->meta().uid : uid_of(version);
                    meta.resource_version = std::to_string(version);
                    if (!meta.creation_timestamp)
                      meta.creation_timestamp = parse_time("2026-01-01T00:00:00Z");
                    return make_object(value, provenance_);
                  },
                  {&kind_of<T>(), value.metadata.namespace_name, value.metadata.name});
  }
  // Takes an object away.
  template <class T>
  std::int64_t remove(const std::string& space, const std::string& name) {
    const ObjectKey key{&kind_of<T>(), space, name};
    return state_.with([&](State& s) {
      const auto it = s.objects.find(key);
      T last = it->second.template as<T>();
      last.metadata.resource_version = std::to_string(++s.version);
      Change change{Change::Type::deleted, s.version, make_object(last), it->second};
      s.changes.push_back(std::move(change));
      s.objects.erase(it);
      s.views[s.version] = s.objects;
      return s.version;
    });
  }
  // From now on objects come from this place in Git.
  void come_from(Provenance provenance) { provenance_ = std::move(provenance); }
  // Raises the counter without touching an object.
  void pass(std::int64_t versions) {
    state_.with([&](State& s) {
      s.version += versions;
      s.views[s.version] = s.objects;
    });
  }
  // Drops the history up to and including a version.
  void forget_before(std::int64_t version) {
    state_.with([&](State& s) { s.kept_after = version; });
  }
  // Tells the listeners, as the store does after a commit.
  void notify() {
    const auto version = view()->resource_version();
    listeners_.with([&](auto& map) {
      for (const auto& [token, listener] : map)
        listener.first(listener.second, version);
    });
  }

  std::shared_ptr<const StateView> view() const override {
    return state_.with(
        [](const State& s) { return std::make_shared<const FakeView>(s.version, s.objects); });
  }
  Result<std::vector<Change>> changes_since(const Kind* kind, std::int64_t after,
                                            std::size_t limit) const override {
    return state_.with([&](const State& s) -> Result<std::vector<Change>> {
      if (after < s.kept_after) return expired();
      std::vector<Change> found;
      for (const auto& change : s.changes) {
        if (change.resource_version <= after || found.size() == limit) continue;
        if (kind == nullptr || &change.object.kind() == kind) found.push_back(change);
      }
      return found;
    });
  }
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t version) const override {
    return state_.with([&](const State& s) -> Result<std::shared_ptr<const StateView>> {
      const auto it = s.views.upper_bound(version);
      if (version < s.kept_after || it == s.views.begin()) return expired();
      std::shared_ptr<const StateView> found =
          std::make_shared<const FakeView>(version, std::prev(it)->second);
      return found;
    });
  }
  int subscribe(Listener listener, void* context) override {
    return listeners_.with([&](auto& map) {
      map[++next_token_] = {listener, context};
      return next_token_;
    });
  }
  void unsubscribe(int token) override {
    listeners_.with([&](auto& map) { map.erase(token); });
  }
  std::size_t listeners() const {
    return listeners_.with([](const auto& map) { return map.size(); });
  }

 private:
  struct State {
    std::int64_t version = 0;
    std::int64_t kept_after = 0;
    std::map<ObjectKey, Object> objects;
    std::vector<Change> changes;
    std::map<std::int64_t, std::map<ObjectKey, Object>> views;
  };
  using Make = std::function<Object(std::int64_t, const Object*)>;

  static Unexpected expired() {
    return Unexpected(Error{Code::exhausted, "too old resource version", "Expired", {}, {}});
  }
  static std::string uid_of(std::int64_t version) {
    auto digits = std::to_string(version);
    return "00000000-0000-4000-8000-" + std::string(12 - digits.size(), '0') + digits;
  }
  std::int64_t commit(const Kind&, const Make& make, const ObjectKey& key) {
    return state_.with([&](State& s) {
      const auto it = s.objects.find(key);
      const Object* before = it != s.objects.end() ? &it->second : nullptr;
      Change change;
      change.type = before != nullptr ? Change::Type::modified : Change::Type::added;
      change.resource_version = ++s.version;
      if (before != nullptr) change.previous = *before;
      change.object = make(s.version, before);
      s.objects.insert_or_assign(key, change.object);
      s.changes.push_back(std::move(change));
      s.views[s.version] = s.objects;
      return s.version;
    });
  }

  Provenance provenance_;
  Guarded<State> state_;
  Guarded<std::map<int, std::pair<Listener, void*>>> listeners_;
  int next_token_ = 0;
};

// Reports that say which question reached them.
class FakeReports final : public Reports {
 public:
  Result<Value> read_status() const override { return say("status", ""); }
  Result<Value> read_receipt(const std::string& sha) const override {
    if (sha == "unknown") return fail(Code::not_found, "revision unknown was never seen");
    return say("receipt", sha);
  }
  Result<Value> read_history(const std::string& object, std::size_t limit) const override {
    return say("history", object + "/" + std::to_string(limit));
  }
  Result<Value> read_drift(std::size_t limit) const override {
    return say("drift", std::to_string(limit));
  }

 private:
  static Value say(std::string_view name, std::string text) {
    Value value = Value::make_map();
    value.put(name, Value::of_text(std::move(text)));
    return value;
  }
};

// Time that stands still until it is moved. Thread safe.
class FakeClock final : public Clock {
 public:
  Now now() const override {
    return now_.with([](const Now& n) { return n; });
  }
  void advance(Duration by) {
    now_.with([&](Now& n) {
      n.wall += by;
      n.mono += by;
    });
  }

 private:
  Guarded<Now> now_{Now{*parse_time("2026-01-01T01:00:00Z"), MonoTime(std::chrono::hours(1000))}};
};

// The body of a whole answer as a value tree; an empty map when it is not JSON.
inline Value body_of(const net::api::Response& response) {
  const auto value = read_json(response.body ? *response.body : std::string{});
  return value ? *value : Value::make_map();
}

// A dotted path into a value tree; a number picks an item of a list. "?" when there is none.
inline std::string at(const Value& document, const std::string& path) {
  const Value* node = &document;
  std::size_t start = 0;
  while (start <= path.size() && !path.empty()) {
    const auto dot = std::min(path.find('.', start), path.size());
    const auto name = path.substr(start, dot - start);
    if (node->is_list()) {
      const auto index = static_cast<std::size_t>(std::stoul(name));
      node = index < node->items.size() ? &node->items[index] : nullptr;
    } else {
      node = node->find(name);
    }
    if (node == nullptr) return "?";
    start = dot + 1;
  }
  return node->scalar;
}

// metadata.name of every item of a list, or the first cell of every row of a Table.
inline std::vector<std::string> names_of(const Value& list) {
  std::vector<std::string> names;
  if (const auto* items = list.find("items")) {
    for (const auto& item : items->items)
      names.push_back(at(item, "metadata.name"));
  }
  if (const auto* rows = list.find("rows")) {
    for (const auto& row : rows->items)
      names.push_back(at(row, "cells.0"));
  }
  return names;
}

// Pulls a stream until it has nothing more; gives its lines.
inline std::vector<std::string> pull_lines(net::api::Stream& stream, const Now& now,
                                           bool* more = nullptr) {
  std::vector<std::string> lines;
  bool going = true;
  while (true) {
    std::string out;
    going = stream.pull(now, out);
    if (out.empty()) break;
    std::size_t start = 0;
    while (start < out.size()) {
      const auto end = std::min(out.find('\n', start), out.size());
      lines.push_back(out.substr(start, end - start));
      start = end + 1;
    }
    if (!going) break;
  }
  if (more != nullptr) *more = going;
  return lines;
}

// Everything an answer needs, over one fake state.
struct FakeApi {
  FakeState state;
  FakeReports reports;
  FakeClock clock;
  net::api::EncodingCache cache;
  net::api::StreamCount streams;
  net::api::ChangeFeed feed{state};
  net::api::ApiContext context{state, reports, clock, cache, streams, feed, "127.0.0.1:6446", {}};

  net::api::Response get(const std::string& target, const std::string& accept = {}) {
    return ask("GET", target, accept);
  }
  net::api::Response ask(const std::string& method, const std::string& target,
                         const std::string& accept = {}, const std::string& body = {},
                         const std::string& type = "application/json") {
    net::api::Request request;
    request.method = method;
    const auto mark = target.find('?');
    request.path = target.substr(0, mark);
    if (mark != std::string::npos) request.query = target.substr(mark + 1);
    if (!accept.empty()) request.headers.push_back({"Accept", accept});
    if (!body.empty()) request.headers.push_back({"Content-Type", type});
    request.body = body;
    return net::api::answer(request, context);
  }
};

}  // namespace moored::test
