#include "schema/model/flux.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "gitsync/follow";
constexpr std::string_view kControllers = "reconciler/controllers";

constexpr std::array<std::string_view, 1> kSourceKinds{"GitRepository"};
constexpr std::array<std::string_view, 1> kSourceApis{"source.toolkit.fluxcd.io/v1"};

// A unit takes its objects from a source of its own namespace only.
void check_kustomization(const void* object, std::vector<Error>& errors) {
  const auto& unit = *static_cast<const Kustomization*>(object);
  check_metadata(unit.metadata, &check_dns_subdomain, errors);
  const auto& wanted = unit.spec.source_ref.namespace_name;
  if (wanted.empty() || unit.metadata.namespace_name.empty()) return;
  if (wanted == unit.metadata.namespace_name) return;
  add_at(errors, "spec.sourceRef.namespace",
         invalid_value("the source is in the namespace " + quoted(wanted),
                       "use a GitRepository of the namespace " + unit.metadata.namespace_name));
}

}  // namespace

// Source: kustomize.toolkit.fluxcd.io/v1 CrossNamespaceSourceReference.
template <>
const TypeSchema& schema_of<CrossNamespaceSourceReference>() {
  using T = CrossNamespaceSourceReference;
  static constexpr Field kFields[] = {
      field<&T::api_version>("apiVersion", {.check = &words_check<kSourceApis>,
                                            .carried_by = kBy,
                                            .doc = "source.toolkit.fluxcd.io/v1."}),
      field<&T::kind>("kind", {.flags = kRequired, .check = &words_check<kSourceKinds>,
                               .carried_by = kBy, .doc = "GitRepository."}),
      field<&T::name>("name", {.flags = kRequired, .check = &full_text_check<&check_dns_subdomain>,
                               .carried_by = kBy, .doc = "Name of the source."}),
      field<&T::namespace_name>("namespace", {.check = &text_check<&check_dns_label>,
                                              .carried_by = kBy,
                                              .doc = "The unit's own namespace."}),
  };
  static constexpr TypeSchema kSchema{"CrossNamespaceSourceReference", kFields};
  return kSchema;
}

// Source: kustomize.toolkit.fluxcd.io/v1 KustomizationSpec.
template <>
const TypeSchema& schema_of<KustomizationSpec>() {
  using T = KustomizationSpec;
  static constexpr std::string_view kRender = "write the result into the manifests";
  static constexpr Field kFields[] = {
      field<&T::interval>("interval", {.flags = kRequired,
                                       .check = &full_text_check<&check_duration>,
                                       .carried_by = kBy, .doc = "How often to look again."}),
      field<&T::retry_interval>("retryInterval", {.flags = kNoEffect,
                                                  .check = &text_check<&check_duration>,
                                                  .carried_by = kBy,
                                                  .doc = "Failures are retried with back-off."}),
      field<&T::path>("path", {.check = &text_check<&check_relative_path>,
                               .carried_by = "gitsync/load",
                               .doc = "Folder in the repository; its root when left out."}),
      field<&T::prune>("prune", {.flags = kKeepZero, .carried_by = kControllers,
                                 .doc = "Whether objects that leave Git are deleted."}),
      field<&T::source_ref>("sourceRef", {.flags = kRequired, .carried_by = kBy,
                                          .doc = "Where the manifests come from."}),
      field<&T::suspend>("suspend", {.carried_by = kBy, .doc = "Whether to stop applying."}),
      field<&T::target_namespace>("targetNamespace",
                                  {.check = &text_check<&check_dns_label>,
                                   .carried_by = "gitsync/load",
                                   .doc = "Namespace that every object is put into."}),
      field<&T::timeout>("timeout", {.flags = kNoEffect, .check = &text_check<&check_duration>,
                                     .carried_by = kBy,
                                     .doc = "Health is told at once and looked at for ever."}),
      field<&T::wait>("wait", {.carried_by = kControllers,
                               .doc = "Ready tells the health of all objects, also without it."}),
      refused("dependsOn", "units are applied independently of one another; remove it"),
      refused("healthChecks", "set wait: true, which looks at every object"),
      refused("healthCheckExprs", "set wait: true, which looks at every object"),
      refused("commonMetadata", kRender), refused("namePrefix", kRender),
      refused("nameSuffix", kRender), refused("patches", kRender), refused("images", kRender),
      refused("components", kRender),
      refused("ignoreMissingComponents", "remove it"),
      refused("postBuild", "variables are not replaced; write the values into the manifests"),
      refused("decryption", "encrypted manifests are not read yet"),
      refused("force", "delete the object in one commit and add it in the next"),
      refused("kubeConfig", "objects are applied to this machine; remove it"),
      refused("serviceAccountName", "there are no rights to take on; remove it"),
      refused("deletionPolicy", "set prune"),
  };
  static constexpr TypeSchema kSchema{"KustomizationSpec", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<InventoryEntry>() {
  using T = InventoryEntry;
  static constexpr Field kFields[] = {
      field<&T::id>("id", {.flags = kKeepZero, .carried_by = kControllers,
                           .doc = "namespace_name_group_Kind."}),
      field<&T::v>("v", {.flags = kKeepZero, .carried_by = kControllers, .doc = "API version."}),
  };
  static constexpr TypeSchema kSchema{"ResourceRef", kFields};
  return kSchema;
}

// Source: kustomize.toolkit.fluxcd.io/v1 ResourceInventory.
template <>
const TypeSchema& schema_of<Inventory>() {
  using T = Inventory;
  static constexpr Field kFields[] = {
      field<&T::entries>("entries", {.flags = kKeepZero, .merge_key = "id",
                                     .carried_by = kControllers,
                                     .doc = "Objects that the unit applied."}),
  };
  static constexpr TypeSchema kSchema{"ResourceInventory", kFields};
  return kSchema;
}

// Source: kustomize.toolkit.fluxcd.io/v1 KustomizationStatus.
template <>
const TypeSchema& schema_of<KustomizationStatus>() {
  using T = KustomizationStatus;
  static constexpr Field kFields[] = {
      field<&T::observed_generation>("observedGeneration",
                                     {.carried_by = kControllers,
                                      .doc = "Generation that was seen."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kControllers,
                                           .doc = "Ready, Reconciling, Stalled."}),
      field<&T::last_applied_revision>("lastAppliedRevision",
                                       {.carried_by = kControllers,
                                        .doc = "Revision that was last applied."}),
      field<&T::last_attempted_revision>("lastAttemptedRevision",
                                         {.carried_by = kControllers,
                                          .doc = "Revision that was last tried."}),
      field<&T::inventory>("inventory", {.carried_by = kControllers,
                                         .doc = "What belongs to the unit."}),
  };
  static constexpr TypeSchema kSchema{"KustomizationStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<Kustomization>() {
  using T = Kustomization;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "What to apply."}),
      status_row<&T::status>(kControllers),
  };
  static constexpr TypeSchema kSchema{"Kustomization", kFields, &check_kustomization};
  return kSchema;
}

template <>
const Kind& kind_of<Kustomization>() {
  static constexpr std::string_view kShort[] = {"ks"};
  static constexpr std::string_view kParts[] = {"status"};
  static constexpr Kind kRow = row_of<Kustomization>(
      {.group = "kustomize.toolkit.fluxcd.io", .version = "v1", .kind = "Kustomization",
       .plural = "kustomizations", .singular = "kustomization", .short_names = kShort,
       .subresources = kParts, .table = &kKustomizationTable});
  return kRow;
}

}  // namespace moored
