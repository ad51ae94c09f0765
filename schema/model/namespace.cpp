#include "schema/model/core.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/controllers";

// A namespace becomes part of DNS names, so its name is one label.
void check_namespace(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Namespace*>(object)->metadata, &check_dns_label, errors);
}

}  // namespace

// Source: core/v1 NamespaceSpec.
template <>
const TypeSchema& schema_of<NamespaceSpec>() {
  using T = NamespaceSpec;
  static constexpr Field kFields[] = {
      field<&T::finalizers>("finalizers", {.flags = kServerOnly, .carried_by = kBy,
                                           .doc = "What must happen before it goes."}),
  };
  static constexpr TypeSchema kSchema{"NamespaceSpec", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<NamespaceStatus>() {
  using T = NamespaceStatus;
  static constexpr Field kFields[] = {
      field<&T::phase>("phase", {.carried_by = kBy, .doc = "Active or Terminating."}),
  };
  static constexpr TypeSchema kSchema{"NamespaceStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<Namespace>() {
  using T = Namespace;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.carried_by = kBy, .doc = "Nothing that is set in Git."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"Namespace", kFields, &check_namespace};
  return kSchema;
}

template <>
const Kind& kind_of<Namespace>() {
  static constexpr std::string_view kShort[] = {"ns"};
  static constexpr std::string_view kParts[] = {"status"};
  static constexpr std::string_view kPaths[] = {"status.phase"};
  static constexpr Kind kRow = row_of<Namespace>(
      {.group = "", .version = "v1", .kind = "Namespace", .plural = "namespaces",
       .singular = "namespace", .short_names = kShort, .namespaced = false,
       .subresources = kParts, .table = &kNamespaceTable, .selectable = kPaths});
  return kRow;
}

}  // namespace moored
