#include "schema/validate/claims.hpp"

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/table_cells.hpp"
#include "schema/validate/pod_specs.hpp"

namespace moored {
namespace {

// Everything that an object claims, as texts that no two objects of a commit may share.
std::vector<std::string> claims_of(const Object& object) {
  std::vector<std::string> claims{"object " + object.key().text()};
  if (const auto selector = selector_of_workload(object); !selector.empty()) {
    claims.push_back("selector " + std::string(object.kind().kind) + ' ' +
                     object.meta().namespace_name + ' ' + selector);
  }
  if (object.is<Service>()) {
    const auto& address = object.as<Service>().spec.cluster_ip;
    if (!address.empty() && address != "None") claims.push_back("address " + address);
  }
  return claims;
}

// Units and sources are judged against one another by name.
bool is_judged_with_others(const Object& object) {
  return object.is<GitRepository>() || object.is<Kustomization>();
}

}  // namespace

std::string selector_of_workload(const Object& object) {
  if (find_member(object, "spec.template", TypeOf<PodTemplateSpec>::value) == nullptr) return {};
  const auto* whole = static_cast<const std::optional<LabelSelector>*>(
      find_member(object, "spec.selector", TypeOf<std::optional<LabelSelector>>::value));
  if (whole != nullptr) return *whole ? selector_text(**whole) : std::string();
  const auto* labels =
      static_cast<const Labels*>(find_member(object, "spec.selector", TypeOf<Labels>::value));
  return labels == nullptr ? std::string() : labels_text(*labels);
}

void CommitClaims::add(const std::vector<Object>& objects) {
  objects_ += objects.size();
  for (const auto& object : objects) {
    for (auto& claim : claims_of(object)) claims_.insert(std::move(claim));
  }
}

bool CommitClaims::exchange(const std::vector<Object>& removed, const std::vector<Object>& added,
                            const AdmissionPolicy& policy) {
  for (const auto& object : removed) {
    if (is_judged_with_others(object)) return false;
    for (const auto& claim : claims_of(object)) claims_.erase(claim);
  }
  objects_ = objects_ - removed.size() + added.size();
  if (objects_ > policy.max_objects) return false;
  Diagnostics alone;
  validate_commit(added, policy, alone);
  if (alone.error_count() + alone.warning_count() > 0) return false;
  for (const auto& object : added) {
    if (is_judged_with_others(object)) return false;
    for (auto& claim : claims_of(object)) {
      if (!claims_.insert(std::move(claim)).second) return false;
    }
  }
  return true;
}

}  // namespace moored
