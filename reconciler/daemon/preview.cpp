#include "reconciler/daemon/preview.hpp"

#include "reconciler/diff/merge.hpp"
#include "schema/codec/codec.hpp"

namespace moored {

Result<Object> DeclaredPreview::preview(const Object& declared, const StateView& view) const {
  Diagnostics diagnostics;
  validate_commit({declared}, policy_, diagnostics);
  const auto recorded = view.find(declared.key());
  if (recorded) {
    for (auto& error : check_immutable(*recorded, declared))
      diagnostics.add_error(std::move(error));
  }
  if (!diagnostics.ok()) {
    Error first = diagnostics.errors().front();
    for (std::size_t i = 1; i < diagnostics.errors().size(); ++i) {
      first.message += "; " + diagnostics.errors()[i].text();
    }
    return Unexpected(std::move(first));
  }
  return recorded ? make_merged(declared, *recorded) : Result<Object>(declared);
}

}  // namespace moored
