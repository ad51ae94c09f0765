#include "schema/model/meta.hpp"

#include <algorithm>

#include "schema/model/checks.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxAnnotationBytes = 256U << 10U;
constexpr std::array<std::string_view, 4> kSelectorOperators{"In", "NotIn", "Exists",
                                                             "DoesNotExist"};

// NotIn and DoesNotExist hold for an absent label too. Source: meta/v1 label selectors.
bool satisfies(const LabelSelectorRequirement& requirement, const Labels& labels) {
  const auto found = labels.find(requirement.key);
  const bool present = found != labels.end();
  const auto& values = requirement.values;
  const auto listed = [&] {
    return std::find(values.begin(), values.end(), found->second) != values.end();
  };
  if (requirement.operation == "In") return present && listed();
  if (requirement.operation == "NotIn") return !present || !listed();
  if (requirement.operation == "Exists") return present;
  return requirement.operation == "DoesNotExist" && !present;
}

// Keys are qualified names in any letter case; all of them together have a size limit.
std::optional<Error> check_annotations(const void* value) {
  std::size_t bytes = 0;
  for (const auto& [key, text] : *static_cast<const Labels*>(value)) {
    bytes += key.size() + text.size();
    std::string lower = key;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (auto error = check_label_key(lower)) {
      error->place.field = key_path(key);
      return error;
    }
  }
  if (bytes <= kMaxAnnotationBytes) return std::nullopt;
  return Error{Code::invalid,
               "the annotations hold " + std::to_string(bytes) + " bytes",
               "LimitExceeded", {},
               "keep them within " + std::to_string(kMaxAnnotationBytes) + " bytes"};
}

// The operator decides whether values have to be there or must not be.
void check_requirement(const void* object, std::vector<Error>& errors) {
  const auto& requirement = *static_cast<const LabelSelectorRequirement*>(object);
  const bool wants_values = requirement.operation == "In" || requirement.operation == "NotIn";
  if (wants_values && requirement.values.empty()) {
    add_at(errors, "values", invalid_value("the operator " + requirement.operation +
                                               " needs values", "list at least one value"));
  }
  if (!wants_values && !requirement.values.empty()) {
    add_at(errors, "values", invalid_value("the operator " + requirement.operation +
                                               " takes no values", "remove the values"));
  }
}

}  // namespace

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [&](const Condition& c) { return c.type == type; });
  return found == conditions.end() ? nullptr : &*found;
}

// lastTransitionTime moves with the status alone: kubectl wait and Flux measure how long a state
// has lasted by it, and a reworded message must not start that over.
bool set_condition(std::vector<Condition>& conditions, Condition next, Time now) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [&](const Condition& c) { return c.type == next.type; });
  if (found == conditions.end()) {
    if (!next.last_transition_time) next.last_transition_time = now;
    conditions.push_back(std::move(next));
    return true;
  }
  const bool moved = found->status != next.status;
  const bool changed = moved || found->reason != next.reason || found->message != next.message ||
                       found->observed_generation != next.observed_generation;
  if (!moved) {
    next.last_transition_time = found->last_transition_time;
  } else if (!next.last_transition_time) {
    next.last_transition_time = now;
  }
  *found = std::move(next);
  return changed;
}

// An empty selector matches everything; kinds for which that would be wrong refuse it in their
// checks.
bool matches(const LabelSelector& selector, const Labels& labels) {
  return matches(selector.match_labels, labels) &&
         std::all_of(selector.match_expressions.begin(), selector.match_expressions.end(),
                     [&](const auto& requirement) { return satisfies(requirement, labels); });
}

bool matches(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

// Source: meta/v1 OwnerReference.
template <>
const TypeSchema& schema_of<OwnerReference>() {
  using T = OwnerReference;
  static constexpr std::string_view kBy = "reconciler/core";
  static constexpr Field kFields[] = {
      field<&T::api_version>("apiVersion", {.carried_by = kBy, .doc = "API of the owner."}),
      field<&T::kind>("kind", {.carried_by = kBy, .doc = "Kind of the owner."}),
      field<&T::name>("name", {.carried_by = kBy, .doc = "Name of the owner."}),
      field<&T::uid>("uid", {.carried_by = kBy, .doc = "uid of the owner."}),
      field<&T::controller>("controller",
                            {.carried_by = kBy, .doc = "Whether the owner controls the object."}),
      field<&T::block_owner_deletion>(
          "blockOwnerDeletion",
          {.carried_by = kBy, .doc = "Whether the owner's deletion waits for the object."}),
  };
  static constexpr TypeSchema kSchema{"OwnerReference", kFields};
  return kSchema;
}

// Source: meta/v1 ObjectMeta. What only the server may write is dropped with a warning where
// people paste it, and refused where believing it would be dangerous.
template <>
const TypeSchema& schema_of<ObjectMeta>() {
  using T = ObjectMeta;
  static constexpr std::string_view kBy = "reconciler/core";
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kImmutable,
                               .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kBy,
                               .doc = "Name, unique among the objects of its kind and namespace."}),
      field<&T::generate_name>("generateName",
                               {.flags = kRefused,
                                .carried_by = kBy,
                                .doc = "Prefix of a made-up name; objects in Git need a name."}),
      field<&T::namespace_name>("namespace", {.flags = kImmutable,
                                              .check = &full_text_check<&check_dns_label>,
                                              .carried_by = kBy,
                                              .doc = "Namespace that holds the object."}),
      field<&T::uid>("uid", {.flags = kServerOnly, .carried_by = kBy,
                             .doc = "Identity of this object in time; never used again."}),
      field<&T::resource_version>("resourceVersion",
                                  {.flags = kServerOnly,
                                   .carried_by = "reconciler/store",
                                   .doc = "Number of the change that wrote the object."}),
      field<&T::generation>("generation", {.flags = kServerOnly, .carried_by = kBy,
                                           .doc = "Rises by one with each change of the spec."}),
      field<&T::creation_timestamp>("creationTimestamp",
                                    {.flags = kServerOnly, .carried_by = kBy,
                                     .doc = "When the object was first recorded."}),
      field<&T::deletion_timestamp>("deletionTimestamp",
                                    {.flags = kServerOnly, .carried_by = kBy,
                                     .doc = "When the object is to be gone at the latest."}),
      field<&T::deletion_grace_period_seconds>(
          "deletionGracePeriodSeconds",
          {.flags = kServerOnly, .carried_by = kBy, .doc = "Seconds given for the deletion."}),
      dropped("managedFields", "Bookkeeping of other tools' writes; moored keeps history instead."),
      dropped("selfLink", "Path of the object; no longer written by Kubernetes."),
      field<&T::labels>("labels", {.check = &keys_check<&check_label_key, &check_label_value>,
                                   .carried_by = "reconciler/controllers",
                                   .doc = "Words by which selectors find the object."}),
      field<&T::annotations>("annotations", {.check = &check_annotations,
                                             .carried_by = "reconciler/store",
                                             .doc = "Notes that selectors do not see."}),
      field<&T::owner_references>("ownerReferences",
                                  {.flags = kRefused, .merge_key = "uid", .carried_by = kBy,
                                   .doc = "Objects whose deletion deletes this one."}),
      field<&T::finalizers>("finalizers", {.flags = kRefused, .carried_by = kBy,
                                           .doc = "What must happen before the object goes."}),
  };
  static constexpr TypeSchema kSchema{"ObjectMeta", kFields};
  return kSchema;
}

// Source: the conditions of all kinds together; each kind uses the times that it has.
template <>
const TypeSchema& schema_of<Condition>() {
  using T = Condition;
  static constexpr std::string_view kBy = "reconciler/controllers";
  static constexpr Field kFields[] = {
      field<&T::type>("type", {.carried_by = kBy, .doc = "Name of the condition."}),
      field<&T::status>("status", {.carried_by = kBy, .doc = "True, False or Unknown."}),
      field<&T::observed_generation>(
          "observedGeneration", {.carried_by = kBy, .doc = "Generation that was looked at."}),
      field<&T::last_probe_time>("lastProbeTime",
                                 {.carried_by = kBy, .doc = "When it was last looked at."}),
      field<&T::last_update_time>("lastUpdateTime",
                                  {.carried_by = kBy, .doc = "When anything of it last changed."}),
      field<&T::last_transition_time>(
          "lastTransitionTime", {.carried_by = kBy, .doc = "When its status last changed."}),
      field<&T::reason>("reason", {.carried_by = kBy, .doc = "One word saying why."}),
      field<&T::message>("message", {.carried_by = kBy, .doc = "A sentence saying why."}),
  };
  static constexpr TypeSchema kSchema{"Condition", kFields};
  return kSchema;
}

// Source: meta/v1 LabelSelectorRequirement.
template <>
const TypeSchema& schema_of<LabelSelectorRequirement>() {
  using T = LabelSelectorRequirement;
  static constexpr std::string_view kBy = "reconciler/controllers";
  static constexpr Field kFields[] = {
      field<&T::key>("key", {.flags = kRequired,
                             .check = &full_text_check<&check_label_key>,
                             .carried_by = kBy,
                             .doc = "Label that the requirement is about."}),
      field<&T::operation>("operator", {.flags = kRequired,
                                        .check = &words_check<kSelectorOperators>,
                                        .carried_by = kBy,
                                        .doc = "In, NotIn, Exists or DoesNotExist."}),
      field<&T::values>("values", {.check = &each_check<&check_label_value>,
                                   .carried_by = kBy,
                                   .doc = "Values that In and NotIn compare with."}),
  };
  static constexpr TypeSchema kSchema{"LabelSelectorRequirement", kFields, &check_requirement};
  return kSchema;
}

// Source: meta/v1 LabelSelector.
template <>
const TypeSchema& schema_of<LabelSelector>() {
  using T = LabelSelector;
  static constexpr std::string_view kBy = "reconciler/controllers";
  static constexpr Field kFields[] = {
      field<&T::match_labels>("matchLabels",
                              {.check = &keys_check<&check_label_key, &check_label_value>,
                               .carried_by = kBy,
                               .doc = "Labels and values that must all be present."}),
      field<&T::match_expressions>("matchExpressions",
                                   {.carried_by = kBy, .doc = "Requirements that must all hold."}),
  };
  static constexpr TypeSchema kSchema{"LabelSelector", kFields};
  return kSchema;
}

// Source: core/v1 ObjectReference.
template <>
const TypeSchema& schema_of<ObjectReference>() {
  using T = ObjectReference;
  static constexpr std::string_view kBy = "reconciler/core";
  static constexpr Field kFields[] = {
      field<&T::kind>("kind", {.carried_by = kBy, .doc = "Kind of the object."}),
      field<&T::namespace_name>("namespace", {.carried_by = kBy, .doc = "Its namespace."}),
      field<&T::name>("name", {.carried_by = kBy, .doc = "Its name."}),
      field<&T::uid>("uid", {.carried_by = kBy, .doc = "Its uid."}),
      field<&T::api_version>("apiVersion", {.carried_by = kBy, .doc = "Its API."}),
      field<&T::resource_version>("resourceVersion",
                                  {.carried_by = kBy, .doc = "The change that was meant."}),
      field<&T::field_path>("fieldPath", {.carried_by = kBy, .doc = "The part that was meant."}),
  };
  static constexpr TypeSchema kSchema{"ObjectReference", kFields};
  return kSchema;
}

// Source: core/v1 LocalObjectReference.
template <>
const TypeSchema& schema_of<LocalObjectReference>() {
  using T = LocalObjectReference;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired,
                               .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = "runtime/image",
                               .doc = "Name of an object in the same namespace."}),
  };
  static constexpr TypeSchema kSchema{"LocalObjectReference", kFields};
  return kSchema;
}

}  // namespace moored
