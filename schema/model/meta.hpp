// What every object carries: metadata, owners, conditions, selectors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schema/base/time.hpp"
#include "schema/model/declare.hpp"

namespace moored {

using Labels = std::map<std::string, std::string>;

// The object whose deletion deletes this one. At most one owner is the controller.
struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
  bool block_owner_deletion = false;
  bool operator==(const OwnerReference&) const = default;
};

// What every object carries. Times are whole seconds, in UTC.
struct ObjectMeta {
  std::string name;
  std::string generate_name;
  std::string namespace_name;  // JSON name: namespace
  std::string uid;
  std::string resource_version;  // decimal, empty in an object that was never recorded
  std::int64_t generation = 0;
  std::optional<Time> creation_timestamp;
  std::optional<Time> deletion_timestamp;
  std::optional<std::int64_t> deletion_grace_period_seconds;
  Labels labels;
  Labels annotations;
  std::vector<OwnerReference> owner_references;
  std::vector<std::string> finalizers;
  bool operator==(const ObjectMeta&) const = default;
};

// One condition, as every kind words it. Pods and Deployments use the two extra times.
struct Condition {
  std::string type;
  std::string status;  // True, False, Unknown
  std::int64_t observed_generation = 0;
  std::optional<Time> last_probe_time;
  std::optional<Time> last_update_time;
  std::optional<Time> last_transition_time;
  std::string reason;
  std::string message;
  bool operator==(const Condition&) const = default;
};

// The condition of a type, or nullptr.
const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type);
// Puts a condition in place; lastTransitionTime moves only when the status does.
// Returns true when anything but a time changed.
bool set_condition(std::vector<Condition>& conditions, Condition next, Time now);

// One expression of a selector. values is empty for Exists and DoesNotExist.
struct LabelSelectorRequirement {
  std::string key;
  std::string operation;  // JSON name: operator; In, NotIn, Exists, DoesNotExist
  std::vector<std::string> values;
  bool operator==(const LabelSelectorRequirement&) const = default;
};

// All of its requirements must hold; an empty one selects everything.
struct LabelSelector {
  Labels match_labels;
  std::vector<LabelSelectorRequirement> match_expressions;
  bool operator==(const LabelSelector&) const = default;
};

// True when the labels satisfy every requirement; an empty selector matches everything.
bool matches(const LabelSelector& selector, const Labels& labels);
bool matches(const Labels& selector, const Labels& labels);

// An object, or a part of it, as events and endpoints name it.
struct ObjectReference {
  std::string kind;
  std::string namespace_name;  // JSON name: namespace
  std::string name;
  std::string uid;
  std::string api_version;
  std::string resource_version;
  std::string field_path;
  bool operator==(const ObjectReference&) const = default;
};

// An object of the same namespace by its name.
struct LocalObjectReference {
  std::string name;
  bool operator==(const LocalObjectReference&) const = default;
};

template <> const TypeSchema& schema_of<OwnerReference>();
template <> const TypeSchema& schema_of<ObjectMeta>();
template <> const TypeSchema& schema_of<Condition>();
template <> const TypeSchema& schema_of<LabelSelectorRequirement>();
template <> const TypeSchema& schema_of<LabelSelector>();
template <> const TypeSchema& schema_of<ObjectReference>();
template <> const TypeSchema& schema_of<LocalObjectReference>();

}  // namespace moored
