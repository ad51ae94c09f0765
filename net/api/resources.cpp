#include "net/api/resources.hpp"

#include <algorithm>
#include <array>

namespace moored::net::api {
namespace {

constexpr std::array<std::string_view, 1> kEventShortNames{"ev"};

Resource row_of(const Kind& kind) {
  Resource row;
  row.group = kind.group;
  row.version = kind.version;
  row.plural = kind.plural;
  row.singular = kind.singular;
  row.kind = kind.kind;
  row.namespaced = kind.namespaced;
  row.in_all = kind.in_all;
  row.short_names = kind.short_names;
  row.subresources = kind.subresources;
  row.stored = &kind;
  return row;
}

// Versions that kubectl 1.20 still asks for by name; answered, but not advertised.
struct OldVersion {
  std::string_view group;
  std::string_view version;
  std::string_view plural;
};
constexpr std::array<OldVersion, 3> kOldVersions{{
    {"batch", "v1beta1", "cronjobs"},
    {"policy", "v1beta1", "poddisruptionbudgets"},
    {"discovery.k8s.io", "v1beta1", "endpointslices"},
}};

void add_old_versions(std::vector<Resource>& rows) {
  for (const auto& old : kOldVersions) {
    const auto* kind = moored::find_resource(old.group, "v1", old.plural);
    if (kind == nullptr) continue;
    Resource row = row_of(*kind);
    row.version = old.version;
    row.listed = false;
    row.rewrite = Rewrite::api_version;
    rows.push_back(row);
  }
}

void add_new_events(std::vector<Resource>& rows) {
  const auto* kind = moored::find_resource("", "v1", "events");
  if (kind == nullptr) return;
  Resource row = row_of(*kind);
  row.group = "events.k8s.io";
  row.short_names = kEventShortNames;
  row.rewrite = Rewrite::event;
  rows.push_back(row);
}

void add_review(std::vector<Resource>& rows, std::string_view group, std::string_view plural,
                std::string_view kind) {
  Resource row;
  row.group = group;
  row.version = "v1";
  row.plural = plural;
  row.singular = plural.substr(0, plural.size() - 1);
  row.kind = kind;
  row.namespaced = false;
  rows.push_back(row);
}

// Without singular names, as metrics-server lists them: `kubectl get node` must mean the other one.
void add_usage(std::vector<Resource>& rows, std::string_view plural, std::string_view kind,
               bool namespaced) {
  Resource row;
  row.group = "metrics.k8s.io";
  row.version = "v1beta1";
  row.plural = plural;
  row.kind = kind;
  row.namespaced = namespaced;
  row.usage = true;
  rows.push_back(row);
}

std::vector<Resource> make_rows() {
  std::vector<Resource> rows;
  for (const auto* kind : all_kinds())
    rows.push_back(row_of(*kind));
  std::stable_partition(rows.begin(), rows.end(),
                        [](const Resource& r) { return r.group.empty(); });
  add_new_events(rows);
  add_old_versions(rows);
  add_review(rows, "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview");
  add_review(rows, "authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview");
  add_review(rows, "authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview");
  add_usage(rows, "nodes", "NodeMetrics", false);
  add_usage(rows, "pods", "PodMetrics", true);
  return rows;
}

}  // namespace

std::string Resource::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string Resource::qualified() const {
  return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
}

bool Resource::has_subresource(std::string_view name) const {
  return std::find(subresources.begin(), subresources.end(), name) != subresources.end();
}

const std::vector<Resource>& all_resources() {
  static const std::vector<Resource> rows = make_rows();
  return rows;
}

const Resource* find_served(std::string_view group, std::string_view version,
                            std::string_view plural) {
  for (const auto& row : all_resources()) {
    if (row.plural == plural && row.group == group && row.version == version) return &row;
  }
  return nullptr;
}

bool serves_group(std::string_view group, std::string_view version) {
  for (const auto& row : all_resources()) {
    if (row.group == group && (version.empty() || row.version == version)) return true;
  }
  return false;
}

}  // namespace moored::net::api
