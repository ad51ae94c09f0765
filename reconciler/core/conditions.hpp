// Small steps on conditions that several decisions share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/model/meta.hpp"

namespace moored {

Condition make_condition(std::string type, std::string status, std::string reason,
                         std::string message, std::int64_t generation = 0);
// True when the condition is there with status True.
bool is_true(const std::vector<Condition>& conditions, std::string_view type);
void drop_condition(std::vector<Condition>& conditions, std::string_view type);
// The reason word of an error: its own, or its code's.
std::string reason_of(const Error& error);
// Errors one on a line, with reason words, cut with a count; at most 24 KiB, so that a status
// stays below 64 KiB.
std::string list_errors(const std::vector<Error>& errors, std::size_t total);

}  // namespace moored
