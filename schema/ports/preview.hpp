// What an object would be if it were declared. Read by net/api for dry runs.
#pragma once

#include "schema/base/result.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// Decides and changes nothing. Thread safe.
class Preview {
 public:
  virtual ~Preview() = default;
  // The declared object as it would be recorded, with what only moored writes taken over from the
  // recorded one. Errors: invalid (policy, immutable fields), with all mistakes in one text.
  virtual Result<Object> preview(const Object& declared, const StateView& view) const = 0;
};

}  // namespace moored
