// What the API serves: one row per group, version and plural.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/model/object.hpp"

namespace moored::net::api {

// How objects of a stored kind become those of another group or version.
enum class Rewrite {
  none,
  api_version,  // the same fields under another apiVersion
  event,        // core events as events.k8s.io/v1 names their fields
};

// One resource of the API. Most rows are those of the registry; some serve a kind once more under
// another version, and the access reviews only answer POST.
struct Resource {
  std::string_view group;
  std::string_view version;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
  bool namespaced = true;
  bool in_all = false;
  bool listed = true;  // in discovery
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> subresources;
  const Kind* stored = nullptr;  // null: an access review, or usage
  bool usage = false;            // measured when asked for, never stored
  Rewrite rewrite = Rewrite::none;

  bool review() const { return stored == nullptr && !usage; }
  std::string api_version() const;
  // "pods" or "deployments.apps", as messages name it.
  std::string qualified() const;
  bool has_subresource(std::string_view name) const;
};

// All rows in the order of discovery: the core group first.
const std::vector<Resource>& all_resources();
// The row, or nullptr.
const Resource* find_served(std::string_view group, std::string_view version,
                            std::string_view plural);
// True when some row has this group (and version, when it is not empty).
bool serves_group(std::string_view group, std::string_view version = {});

// The scale of a Deployment and its like is of this kind.
inline constexpr std::string_view kScaleKind = "Scale";
inline constexpr std::string_view kScaleApiVersion = "autoscaling/v1";

}  // namespace moored::net::api
