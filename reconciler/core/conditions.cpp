#include "reconciler/core/conditions.hpp"

#include <algorithm>
#include <utility>

#include "schema/base/log.hpp"

namespace moored {

Condition make_condition(std::string type, std::string status, std::string reason,
                         std::string message, std::int64_t generation) {
  Condition condition;
  condition.type = std::move(type);
  condition.status = std::move(status);
  condition.reason = std::move(reason);
  condition.message = std::move(message);
  condition.observed_generation = generation;
  return condition;
}

bool is_true(const std::vector<Condition>& conditions, std::string_view type) {
  const Condition* condition = find_condition(conditions, type);
  return condition != nullptr && condition->status == "True";
}

void drop_condition(std::vector<Condition>& conditions, std::string_view type) {
  conditions.erase(std::remove_if(conditions.begin(), conditions.end(),
                                  [&](const Condition& c) { return c.type == type; }),
                   conditions.end());
}

std::string reason_of(const Error& error) {
  return error.reason.empty() ? std::string(traits(error.code).reason) : error.reason;
}

// Lines are escaped one by one, so that foreign text cannot look like a line of ours.
std::string list_errors(const std::vector<Error>& errors, std::size_t total) {
  constexpr std::size_t kMaxBytes = 24U << 10U;
  std::string text;
  std::size_t listed = 0;
  for (const Error& error : errors) {
    const std::string line = escape_text(error.text()) + " [" + reason_of(error) + "]";
    if (text.size() + line.size() + 1 > kMaxBytes) break;
    if (listed++ > 0) text += '\n';
    text += line;
  }
  if (listed < total) text += "\n… and " + std::to_string(total - listed) + " more";
  return text;
}

}  // namespace moored
