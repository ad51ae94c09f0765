#include "schema/model/core.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

// The rest is judged by the rows.
void check_service_account(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const ServiceAccount*>(object)->metadata, &check_dns_subdomain,
                 errors);
}

}  // namespace

// Source: core/v1 ServiceAccount.
template <>
const TypeSchema& schema_of<ServiceAccount>() {
  using T = ServiceAccount;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::secrets>("secrets", {.merge_key = "name", .carried_by = "net/api",
                                     .doc = "Secrets that belong to the account; a note."}),
      field<&T::image_pull_secrets>("imagePullSecrets",
                                    {.merge_key = "name",
                                     .carried_by = "runtime/agent",
                                     .doc = "For pods of the account that name none."}),
      field<&T::automount_service_account_token>(
          "automountServiceAccountToken",
          {.carried_by = "runtime/agent",
           .doc = "No token exists here, so none is mounted either way."}),
  };
  static constexpr TypeSchema kSchema{"ServiceAccount", kFields, &check_service_account};
  return kSchema;
}

template <>
const Kind& kind_of<ServiceAccount>() {
  static constexpr std::string_view kShort[] = {"sa"};
  static constexpr Kind kRow = row_of<ServiceAccount>(
      {.group = "", .version = "v1", .kind = "ServiceAccount", .plural = "serviceaccounts",
       .singular = "serviceaccount", .short_names = kShort, .table = &kServiceAccountTable});
  return kRow;
}

}  // namespace moored
