// What only the whole commit can tell: duplicates, limits, references, and policy per namespace.
#include <algorithm>
#include <map>
#include <tuple>

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/drift_mode.hpp"
#include "schema/model/flux.hpp"
#include "schema/validate/claims.hpp"
#include "schema/validate/pod_security.hpp"
#include "schema/validate/pod_specs.hpp"
#include "schema/validate/validate.hpp"

namespace moored {
namespace {

// "shop/web in app.yaml:12" for messages about another object.
std::string place_text(const Object& object) {
  const auto& from = object.provenance();
  std::string out = object.key().text();
  if (!from.file.empty()) out += " in " + from.file;
  if (!from.file.empty() && from.line > 0) out += ":" + std::to_string(from.line);
  return out;
}

// Adds an error about a field of an object, at the place where the object was written.
void report(const Object& object, Error error, Diagnostics& diagnostics) {
  error.place.file = object.provenance().file;
  error.place.line = object.provenance().line;
  error.place.column = 0;
  diagnostics.add_error(std::move(error));
}

// The field is looked up in the text by whoever still has it.
void report_at(const Object& object, std::string field, Error error, Diagnostics& diagnostics) {
  error.place.field = std::move(field);
  report(object, std::move(error), diagnostics);
}

// Told at the first object that is too many.
void check_count(const std::vector<Object>& objects, std::size_t limit,
                 Diagnostics& diagnostics) {
  if (objects.size() <= limit) return;
  report_at(objects[limit], {},
            Error{Code::exhausted,
                  "the commit holds " + std::to_string(objects.size()) + " objects",
                  "LimitExceeded", {},
                  "keep it within " + std::to_string(limit) + ", or split it into several units"},
            diagnostics);
}

// Never "the last one wins": the order of files would decide what runs.
void check_duplicates(const std::vector<Object>& objects, Diagnostics& diagnostics) {
  std::map<ObjectKey, const Object*> seen;
  for (const auto& object : objects) {
    const auto [first, added] = seen.emplace(object.key(), &object);
    if (added) continue;
    report_at(object, "metadata.name",
              Error{Code::conflict, "the object is already written as " +
                                        place_text(*first->second),
                    "DuplicateObject", {}, "keep one of the two"},
              diagnostics);
  }
}

// By the path spec.replicas, whatever the kind.
void check_replicas(const Object& object, std::int32_t limit, Diagnostics& diagnostics) {
  const auto* replicas = static_cast<const std::optional<std::int32_t>*>(
      find_member(object, "spec.replicas", TypeOf<std::optional<std::int32_t>>::value));
  if (replicas == nullptr || replicas->value_or(0) <= limit) return;
  report_at(object, "spec.replicas",
            Error{Code::exhausted, std::to_string(**replicas) + " replicas are wanted",
                  "LimitExceeded", {}, "use at most " + std::to_string(limit)},
            diagnostics);
}

// The operator's word alone; labels of the namespace are not asked.
AdmissionPolicy::Level level_of(const AdmissionPolicy& policy, const std::string& name) {
  const auto found = policy.namespace_levels.find(name);
  return found == policy.namespace_levels.end() ? policy.default_level : found->second;
}

// By the rows, whatever the kind.
void check_policy(const Object& object, const AdmissionPolicy& policy, Diagnostics& diagnostics) {
  const auto level = level_of(policy, object.meta().namespace_name);
  visit_pod_specs(object, [&](const PodSpec& spec, const ObjectMeta& meta,
                              const std::string& path) {
    for (auto& error : check_pod_security(spec, meta, level, path)) {
      report(object, std::move(error), diagnostics);
    }
  });
}

// A word that means nothing would leave the person believing that it does.
void check_drift_mode(const Object& object, const ObjectMeta& meta, const std::string& path,
                      Diagnostics& diagnostics) {
  const auto found = meta.annotations.find(std::string(kDriftAnnotation));
  if (found == meta.annotations.end() || find_drift_mode(found->second)) return;
  report_at(object, path + "annotations" + key_path(kDriftAnnotation),
            invalid_value(quoted(found->second) + " is not a way to treat drift",
                          "write off, report or correct"),
            diagnostics);
}
void check_drift_modes(const Object& object, Diagnostics& diagnostics) {
  check_drift_mode(object, object.meta(), "metadata.", diagnostics);
  visit_pod_specs(object, [&](const PodSpec&, const ObjectMeta& meta, const std::string& path) {
    if (&meta == &object.meta()) return;
    check_drift_mode(object, meta, path.substr(0, path.rfind('.') + 1) + "metadata.",
                     diagnostics);
  });
}

// Two workloads with one selector would each count the other's pods.
class SelectorClaims {
 public:
  void claim(const Object& object, Diagnostics& diagnostics) {
    const auto selector = selector_of_workload(object);
    if (selector.empty()) return;
    const Key key{&object.kind(), object.meta().namespace_name, selector};
    const auto [first, added] = claims_.emplace(key, &object);
    if (added || first->second->key() == object.key()) return;  // twice: told as a duplicate
    report_at(object, "spec.selector",
              invalid_value("the selector is also that of " + place_text(*first->second),
                            "give each its own labels"),
              diagnostics);
  }

 private:
  using Key = std::tuple<const Kind*, std::string, std::string>;
  std::map<Key, const Object*> claims_;
};

// Two Services cannot have one address.
class AddressClaims {
 public:
  void claim(const Object& object, Diagnostics& diagnostics) {
    if (!object.is<Service>()) return;
    const auto& address = object.as<Service>().spec.cluster_ip;
    if (address.empty() || address == "None") return;
    const auto [first, added] = claims_.emplace(address, &object);
    if (added || first->second->key() == object.key()) return;
    report_at(object, "spec.clusterIP",
              invalid_value("the address is also that of " + place_text(*first->second),
                            "leave clusterIP out, or choose another address"),
              diagnostics);
  }

 private:
  std::map<std::string, const Object*> claims_;
};

// A unit whose source exists under its name in another namespace only names the wrong one. A
// source that is nowhere in the commit may come from elsewhere and is judged when it is needed.
void check_sources(const std::vector<Object>& objects, Diagnostics& diagnostics) {
  std::multimap<std::string, const Object*> sources;
  for (const auto& object : objects) {
    if (object.is<GitRepository>()) sources.emplace(object.meta().name, &object);
  }
  for (const auto& object : objects) {
    if (!object.is<Kustomization>()) continue;
    const auto [begin, end] = sources.equal_range(object.as<Kustomization>().spec.source_ref.name);
    const auto reachable = [&](const auto& source) {
      return source.second->meta().namespace_name == object.meta().namespace_name;
    };
    if (begin == end || std::any_of(begin, end, reachable)) continue;
    report_at(object, "spec.sourceRef.name",
              invalid_value("the source is in another namespace: " + place_text(*begin->second),
                            "put the Kustomization and its source into one namespace"),
              diagnostics);
  }
}

}  // namespace

void validate_commit(const std::vector<Object>& objects, const AdmissionPolicy& policy,
                     Diagnostics& diagnostics) {
  check_count(objects, policy.max_objects, diagnostics);
  check_duplicates(objects, diagnostics);
  SelectorClaims selectors;
  AddressClaims addresses;
  for (const auto& object : objects) {
    check_replicas(object, policy.max_replicas, diagnostics);
    check_policy(object, policy, diagnostics);
    check_drift_modes(object, diagnostics);
    selectors.claim(object, diagnostics);
    addresses.claim(object, diagnostics);
  }
  check_sources(objects, diagnostics);
}

}  // namespace moored
