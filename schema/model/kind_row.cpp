#include "schema/model/kind_row.hpp"

namespace moored {

void check_metadata(const ObjectMeta& meta, TextRule name_rule, std::vector<Error>& errors) {
  if (meta.name.empty()) {
    add_at(errors, "metadata.name",
           Error{Code::invalid, "the object has no name", "InvalidValue", {},
                 "add metadata.name"});
    return;
  }
  // The row of the name has already judged whether it is a DNS subdomain.
  if (check_dns_subdomain(meta.name)) return;
  if (auto error = name_rule(meta.name)) add_at(errors, "metadata.name", *std::move(error));
}

}  // namespace moored
