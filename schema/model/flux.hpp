// Sources and sync units, in Flux's words: GitRepository and Kustomization.
#pragma once

#include "schema/base/shared_vector.hpp"
#include "schema/model/meta.hpp"

namespace moored {

// What to follow. commit goes before name, name before tag, tag before branch.
struct GitRepositoryRef {
  std::string branch;
  std::string tag;
  std::string commit;
  std::string name;  // any full reference name
  bool operator==(const GitRepositoryRef&) const = default;
};
// Where a repository is and how often to look.
struct GitRepositorySpec {
  std::string url;
  std::optional<GitRepositoryRef> ref;
  std::string interval;  // a Go duration
  std::string timeout;   // a Go duration
  bool suspend = false;
  std::optional<LocalObjectReference> secret_ref;
  std::optional<LocalObjectReference> proxy_secret_ref;
  std::string ignore;    // patterns as in .gitignore
  bool operator==(const GitRepositorySpec&) const = default;
};
// What was last fetched.
struct SourceArtifact {
  std::string revision;  // branch@sha1:<40 hex>
  std::optional<Time> last_update_time;
  bool operator==(const SourceArtifact&) const = default;
};
// What came of looking at the repository.
struct GitRepositoryStatus {
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  std::optional<SourceArtifact> artifact;
  bool operator==(const GitRepositoryStatus&) const = default;
};
// A source of manifests.
struct GitRepository {
  ObjectMeta metadata;
  GitRepositorySpec spec;
  GitRepositoryStatus status;
  bool operator==(const GitRepository&) const = default;
};

// A source. The namespace is always the unit's own.
struct CrossNamespaceSourceReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string namespace_name;  // JSON name: namespace
  bool operator==(const CrossNamespaceSourceReference&) const = default;
};
// Which folder of which source is applied, and how. Intervals are Go durations.
struct KustomizationSpec {
  std::string interval;
  std::string retry_interval;
  std::string timeout;
  std::string path;
  bool prune = false;
  bool suspend = false;
  bool wait = false;
  std::string target_namespace;
  CrossNamespaceSourceReference source_ref;
  bool operator==(const KustomizationSpec&) const = default;
};
// group_kind_namespace_name in Flux is split here into a key that needs no parsing.
struct InventoryEntry {
  std::string id;  // namespace_name_group_Kind
  std::string v;   // version
  bool operator==(const InventoryEntry&) const = default;
};
// Everything that a unit has applied and therefore may prune.
struct Inventory {
  SharedVector<InventoryEntry> entries;
  bool operator==(const Inventory&) const = default;
};
// What came of applying the unit. The inventory decides what may be pruned.
struct KustomizationStatus {
  std::int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  std::string last_applied_revision;
  std::string last_attempted_revision;
  std::optional<Inventory> inventory;
  bool operator==(const KustomizationStatus&) const = default;
};
// A unit: one folder of a source whose objects are applied together.
struct Kustomization {
  ObjectMeta metadata;
  KustomizationSpec spec;
  KustomizationStatus status;
  bool operator==(const Kustomization&) const = default;
};

template <> const TypeSchema& schema_of<GitRepositoryRef>();
template <> const TypeSchema& schema_of<GitRepositorySpec>();
template <> const TypeSchema& schema_of<SourceArtifact>();
template <> const TypeSchema& schema_of<GitRepositoryStatus>();
template <> const TypeSchema& schema_of<GitRepository>();
template <> const TypeSchema& schema_of<CrossNamespaceSourceReference>();
template <> const TypeSchema& schema_of<KustomizationSpec>();
template <> const TypeSchema& schema_of<InventoryEntry>();
template <> const TypeSchema& schema_of<Inventory>();
template <> const TypeSchema& schema_of<KustomizationStatus>();
template <> const TypeSchema& schema_of<Kustomization>();
template <> const Kind& kind_of<GitRepository>();
template <> const Kind& kind_of<Kustomization>();

}  // namespace moored
