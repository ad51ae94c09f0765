// What an object would be if it were declared, by the rules of the commit.
#pragma once

#include "schema/ports/preview.hpp"
#include "schema/validate/validate.hpp"

namespace moored {

// Judges one object alone: what only a whole commit shows (duplicates, ownership) is the plan's.
class DeclaredPreview final : public Preview {
 public:
  explicit DeclaredPreview(AdmissionPolicy policy) : policy_(std::move(policy)) {}
  Result<Object> preview(const Object& declared, const StateView& view) const override;

 private:
  AdmissionPolicy policy_;
};

}  // namespace moored
