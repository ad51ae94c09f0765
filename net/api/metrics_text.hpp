// Metrics in the text format of Prometheus.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/ports/metrics.hpp"

namespace moored::net::api {

// What a scraper is told about the format.
inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// HELP, TYPE and samples of each family, in the order given; a family without samples is left out.
// Numbers are written so that reading them gives the same double.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
std::string write_metrics(const std::vector<MetricFamily>& families);

}  // namespace moored::net::api
