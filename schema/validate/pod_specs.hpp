// Finds every pod specification inside an object, whatever its kind.
#pragma once

#include <functional>
#include <string>

#include "schema/model/object.hpp"
#include "schema/model/pod.hpp"

namespace moored {

// Calls visit for each PodSpec with the metadata beside it and its field path, such as
// spec.template.spec. The rows guide the search, so that a new kind is judged without a line here.
using PodSpecVisit =
    std::function<void(const PodSpec& spec, const ObjectMeta& meta, const std::string& path)>;
void visit_pod_specs(const Object& object, const PodSpecVisit& visit);

// The member of a struct by its JSON name when it has the C++ type T, else nullptr.
// Reaches through objects by a dotted path such as spec.replicas; optionals are not followed.
const void* find_member(const Object& object, std::string_view path, const Type& type);

}  // namespace moored
