// Recorded state and facts in memory, for tests of the Service proxy.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::test {

// A store of objects whose views are whole copies; every put is one revision.
class MemoryState final : public StateSource, public RevisionSignal {
 public:
  void put(const Object& object) { commit(object.key(), object); }
  void remove(const ObjectKey& key) { commit(key, {}); }

  std::shared_ptr<const StateView> view() const override {
    const std::lock_guard lock(mutex_);
    auto view = std::make_shared<View>();
    view->version = version_;
    view->objects = objects_;
    return view;
  }
  Result<std::vector<Change>> changes_since(const Kind* kind, std::int64_t after,
                                            std::size_t limit) const override {
    const std::lock_guard lock(mutex_);
    std::vector<Change> out;
    for (const auto& [version, changed] : log_) {
      const bool wanted = version > after && (kind == nullptr || changed == kind);
      if (wanted && out.size() < limit) out.push_back({Change::Type::modified, version, {}, {}});
    }
    return out;
  }
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t) const override {
    return fail(Code::exhausted, "no history");
  }
  int subscribe(Listener listener, void* context) override {
    const std::lock_guard lock(mutex_);
    listener_ = listener;
    context_ = context;
    return 1;
  }
  void unsubscribe(int) override {
    const std::lock_guard lock(mutex_);
    listener_ = nullptr;
  }
  bool has_listener() const {
    const std::lock_guard lock(mutex_);
    return listener_ != nullptr;
  }

 private:
  struct View final : StateView {
    std::int64_t version = 0;
    std::map<ObjectKey, Object> objects;
    std::int64_t resource_version() const override { return version; }
    std::optional<Object> find(const ObjectKey& key) const override {
      const auto found = objects.find(key);
      return found == objects.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<Object> list(const Kind& kind, const std::string& place) const override {
      std::vector<Object> out;
      for (const auto& [key, object] : objects) {
        if (key.kind == &kind && (place.empty() || key.namespace_name == place)) {
          out.push_back(object);
        }
      }
      return out;
    }
    std::vector<Object> list_owned(const Kind&, const std::string&) const override { return {}; }
  };

  void commit(const ObjectKey& key, const Object& object) {
    Listener listener = nullptr;
    void* context = nullptr;
    std::int64_t version = 0;
    {
      const std::lock_guard lock(mutex_);
      version = ++version_;
      log_[version] = key.kind;
      if (object) {
        objects_[key] = object;
      } else {
        objects_.erase(key);
      }
      listener = listener_;
      context = context_;
    }
    if (listener != nullptr) listener(context, version);
  }

  mutable std::mutex mutex_;
  std::int64_t version_ = 0;
  std::map<ObjectKey, Object> objects_;
  std::map<std::int64_t, const Kind*> log_;
  Listener listener_ = nullptr;
  void* context_ = nullptr;
};

// Keeps every fact.
class FactList final : public FactSink {
 public:
  void post(Fact fact, Cause) override {
    const std::lock_guard lock(mutex_);
    facts_.push_back(std::move(fact));
  }
  template <class T>
  std::vector<T> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<T> out;
    for (const auto& fact : facts_) {
      if (const auto* one = std::get_if<T>(&fact)) out.push_back(*one);
    }
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Fact> facts_;
};

// ---- objects -----------------------------------------------------------------------------------

inline Service make_service(const std::string& name, const std::string& address, int port = 80,
                            const std::string& protocol = "TCP") {
  Service service;
  service.metadata.namespace_name = "shop";
  service.metadata.name = name;
  service.spec.type = "ClusterIP";
  service.spec.cluster_ip = address;
  ServicePort row;
  row.protocol = protocol;
  row.port = port;
  service.spec.ports = {row};
  return service;
}

inline SliceEndpoint make_endpoint(const std::string& address) {
  SliceEndpoint endpoint;
  endpoint.addresses = {address};
  endpoint.conditions.ready = true;
  return endpoint;
}

// Ready endpoints of a Service behind one port.
inline EndpointSlice make_slice(const std::string& service,
                                const std::vector<std::string>& addresses, int port = 8080,
                                const std::string& protocol = "TCP") {
  EndpointSlice slice;
  slice.metadata.namespace_name = "shop";
  slice.metadata.name = service + "-1";
  slice.metadata.labels["kubernetes.io/service-name"] = service;
  slice.address_type = "IPv4";
  for (const auto& address : addresses)
    slice.endpoints.push_back(make_endpoint(address));
  EndpointPort row;
  row.port = port;
  row.protocol = protocol;
  slice.ports = {row};
  return slice;
}

}  // namespace moored::test
