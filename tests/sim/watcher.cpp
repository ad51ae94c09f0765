#include "tests/sim/watcher.hpp"

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"

namespace moored::sim {
namespace {

constexpr std::size_t kBatch = 64;

}  // namespace

void Watcher::connect(const StateSource& source) {
  feed_ = std::make_unique<net::api::ChangeFeed>(source);
}

std::string Watcher::look(const StateView& view) {
  for (const Kind* kind : {&kind_of<Pod>(), &kind_of<ConfigMap>(), &kind_of<Deployment>(),
                           &kind_of<ReplicaSet>(), &kind_of<EndpointSlice>()}) {
    const std::string wrong = follow(*kind, held_[kind], view);
    if (!wrong.empty()) return "a watch of " + std::string(kind->kind) + ": " + wrong;
  }
  return {};
}

void Watcher::list(const Kind& kind, Held& held, const StateView& view) {
  held.versions.clear();
  for (const Object& object : view.list(kind)) {
    held.versions[object.key()] = object.meta().resource_version;
  }
  held.seen = view.resource_version();
  ++lists_;
}

// Reads until nothing is left, as a watch does between two sleeps.
std::string Watcher::follow(const Kind& kind, Held& held, const StateView& view) {
  if (held.seen < 0) list(kind, held, view);
  while (held.seen < view.resource_version()) {
    const auto reading = feed_->read(kind, held.seen, kBatch);
    if (!reading) {
      if (reading.error().reason != "Expired") return reading.error().text();
      list(kind, held, view);
      break;
    }
    for (const Change& change : reading->changes) {
      const std::string wrong = take(change, held);
      if (!wrong.empty()) return wrong;
    }
    const bool all = reading->changes.size() < kBatch;
    held.seen = all ? reading->known : reading->changes.back().resource_version;
  }
  return compare(kind, held, view);
}

// Each change once, in order, and on what was there before.
std::string Watcher::take(const Change& change, Held& held) {
  const std::string key = change.object.key().text();
  if (change.resource_version <= held.seen) return key + " came twice or out of order";
  held.seen = change.resource_version;
  const auto known = held.versions.find(change.object.key());
  const bool is_known = known != held.versions.end();
  if (change.type == Change::Type::added) {
    if (is_known) return key + " was added and is there already";
    held.versions[change.object.key()] = change.object.meta().resource_version;
    return {};
  }
  if (!is_known) return key + " changed or went and was never there";
  if (!change.previous || change.previous->meta().resource_version != known->second) {
    return key + " changed twice and was told once";
  }
  if (change.type == Change::Type::deleted) {
    held.versions.erase(known);
  } else {
    known->second = change.object.meta().resource_version;
  }
  return {};
}

std::string Watcher::compare(const Kind& kind, const Held& held, const StateView& view) {
  const auto objects = view.list(kind);
  for (const Object& object : objects) {
    const auto known = held.versions.find(object.key());
    if (known == held.versions.end()) return object.key().text() + " was not told";
    if (known->second != object.meta().resource_version) {
      return object.key().text() + " is held at an old version";
    }
  }
  return objects.size() == held.versions.size() ? std::string() : "it holds what is gone";
}

}  // namespace moored::sim
