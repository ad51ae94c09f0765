#include "schema/model/cluster.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/controllers";

// Leases are made inside; the check holds for what the store is given.
void check_lease(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Lease*>(object)->metadata, &check_dns_subdomain, errors);
}

}  // namespace

// Source: coordination/v1 LeaseSpec. Both times have six decimals.
template <>
const TypeSchema& schema_of<LeaseSpec>() {
  using T = LeaseSpec;
  static constexpr Field kFields[] = {
      field<&T::holder_identity>("holderIdentity", {.carried_by = kBy, .doc = "Who holds it."}),
      field<&T::lease_duration_seconds>("leaseDurationSeconds",
                                        {.check = kPositive32, .carried_by = kBy,
                                         .doc = "Seconds after which others may take it."}),
      field<&T::acquire_time>("acquireTime", {.flags = kMicroTime, .carried_by = kBy,
                                              .doc = "When it was taken."}),
      field<&T::renew_time>("renewTime", {.flags = kMicroTime, .carried_by = kBy,
                                          .doc = "When it was last renewed."}),
      field<&T::lease_transitions>("leaseTransitions",
                                   {.check = kNatural32, .carried_by = kBy,
                                    .doc = "How often the holder changed."}),
  };
  static constexpr TypeSchema kSchema{"LeaseSpec", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<Lease>() {
  using T = Lease;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.carried_by = kBy, .doc = "Holder and times."}),
  };
  static constexpr TypeSchema kSchema{"Lease", kFields, &check_lease};
  return kSchema;
}

template <>
const Kind& kind_of<Lease>() {
  static constexpr Kind kRow = row_of<Lease>(
      {.group = "coordination.k8s.io", .version = "v1", .kind = "Lease", .plural = "leases",
       .singular = "lease", .origin = Origin::internal, .table = &kLeaseTable});
  return kRow;
}

}  // namespace moored
