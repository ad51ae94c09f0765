#include "net/api/health.hpp"

#include <array>
#include <string_view>

namespace moored::net::api {
namespace {

// One check and what it looks at.
struct Check {
  std::string_view name;
  bool (*passes)(const ApiContext& context);
};

bool answers(const ApiContext&) {
  return true;
}
bool has_state(const ApiContext& context) {
  return context.state.view() != nullptr;
}
bool has_sources(const ApiContext& context) {
  return context.reports.read_status().has_value();
}

constexpr std::array<Check, 3> kChecks{
    {{"ping", &answers}, {"store", &has_state}, {"status", &has_sources}}};

}  // namespace

Response answer_health(std::span<const std::string> path, const Query& query,
                       const ApiContext& context) {
  std::string lines;
  bool well = true;
  bool known = path.size() == 1;
  for (const auto& check : kChecks) {
    if (path.size() == 2 && path[1] != check.name) continue;
    known = known || path.size() == 2;
    const bool passes = check.passes(context);
    well = well && passes;
    lines += passes ? "[+]" : "[-]";
    lines += std::string(check.name) + (passes ? " ok\n" : " failed\n");
  }
  if (!known || path.size() > 2) {
    return make_response(404, "text/plain", "404 page not found\n");
  }
  if (well && query.find("verbose") == nullptr) return make_response(200, "text/plain", "ok");
  lines += path[0] + (well ? " check passed\n" : " check failed\n");
  return make_response(well ? 200 : 500, "text/plain", lines);
}

}  // namespace moored::net::api
