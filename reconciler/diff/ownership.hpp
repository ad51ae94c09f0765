// Who may write what: units own objects, namespaces hold them. Pure judgements of plan_commit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/model/object.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// The namespaces that exist from the start and are never removed.
bool is_protected_namespace(std::string_view name);
// Kustomization namespace/name as its key. Nothing: the text is no such name.
std::optional<ObjectKey> find_unit_key(const std::string& unit);
// The name of the unit that holds the object now; empty: nobody's, or of a unit that let it go.
std::string find_owner_unit(const Object& recorded, const StateView& view);
// Why a unit may not write over a recorded object, or nothing.
std::optional<Error> check_owner(const Object& recorded, const std::string& unit,
                                 const StateView& view);
// Objects of other units inside a namespace: it cannot be removed while there are any.
std::optional<Error> check_namespace_free(const std::string& name, const std::string& unit,
                                          const StateView& view);
// Recorded objects of people inside a namespace.
std::vector<ObjectKey> list_declared_in(const std::string& name, const StateView& view);

}  // namespace moored
