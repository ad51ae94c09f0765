#include "net/api/metrics.hpp"

#include "net/api/metrics_text.hpp"

namespace moored::net::api {
namespace {

void measure_cache(const EncodingCache& cache, std::vector<MetricFamily>& out) {
  auto looks = make_counter("moored_api_encoding_lookups_total",
                            "Objects asked of the cache of encoded objects.");
  looks.add({{"result", "hit"}}, static_cast<double>(cache.hits()));
  looks.add({{"result", "miss"}}, static_cast<double>(cache.misses()));
  out.push_back(std::move(looks));
  out.push_back(make_gauge("moored_api_encoding_cache_bytes", "Encoded objects kept.")
                    .add({}, static_cast<double>(cache.size_bytes())));
}

void measure_state(const StateView& view, std::vector<MetricFamily>& out) {
  out.push_back(make_gauge("moored_store_resource_version", "Version of the recorded state.")
                    .add({}, static_cast<double>(view.resource_version())));
  auto objects = make_gauge("moored_objects", "Recorded objects by kind.");
  for (const auto* kind : all_kinds()) {
    objects.add({{"group", std::string(kind->group)}, {"kind", std::string(kind->kind)}},
                static_cast<double>(view.list(*kind).size()));
  }
  out.push_back(std::move(objects));
}

}  // namespace

Response answer_metrics(const ApiContext& context) {
  std::vector<MetricFamily> families;
  measure_state(*context.state.view(), families);
  families.push_back(make_gauge("moored_api_streams", "Watches and followed logs being sent.")
                         .add({}, context.streams.open()));
  measure_cache(context.cache, families);
  for (auto* meter : context.meters)
    meter->measure(families);
  return make_response(200, std::string(kMetricsType), write_metrics(families));
}

}  // namespace moored::net::api
