// Reading members of JSON answers: absent ones are empty. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/codec/value.hpp"

namespace moored::ctl {

// The scalar of a member; empty when it is absent.
std::string text_in(const Value& map, std::string_view name);
// True when the member is the boolean true.
bool truth_in(const Value& map, std::string_view name);
// The member as a number; 0 when it is absent or none.
std::int64_t number_in(const Value& map, std::string_view name);
// The items of a list member; none when it is absent.
const std::vector<Value>& items_in(const Value& map, std::string_view name);

}  // namespace moored::ctl
