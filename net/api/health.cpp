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

void append_metric(std::string& out, std::string_view name, std::string_view type,
                   std::string_view doc, std::int64_t value) {
  out.append("# HELP ").append(name).append(" ").append(doc).append("\n");
  out.append("# TYPE ").append(name).append(" ").append(type).append("\n");
  out.append(name).append(" ").append(std::to_string(value)).append("\n");
}

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

Response answer_metrics(const ApiContext& context) {
  std::string out;
  const auto view = context.state.view();
  append_metric(out, "moored_resource_version", "counter", "Version of the recorded state.",
                view->resource_version());
  append_metric(out, "moored_api_open_streams", "gauge", "Watches and logs being sent.",
                context.streams.open());
  append_metric(out, "moored_api_encoding_hits_total", "counter",
                "Objects that were answered without encoding them again.", context.cache.hits());
  append_metric(out, "moored_api_encoding_misses_total", "counter", "Objects that were encoded.",
                context.cache.misses());
  append_metric(out, "moored_api_encoding_bytes", "gauge", "Encoded objects kept, in bytes.",
                static_cast<std::int64_t>(context.cache.size_bytes()));
  out += "# HELP moored_objects Recorded objects by kind.\n# TYPE moored_objects gauge\n";
  for (const auto* kind : all_kinds()) {
    out += "moored_objects{group=\"" + std::string(kind->group) + "\",kind=\"" +
           std::string(kind->kind) + "\"} " + std::to_string(view->list(*kind).size()) + "\n";
  }
  return make_response(200, "text/plain; version=0.0.4; charset=utf-8", std::move(out));
}

}  // namespace moored::net::api
