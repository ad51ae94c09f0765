#include "net/api/request_meter.hpp"

#include <algorithm>
#include <array>

namespace moored::net::api {
namespace {

constexpr std::array<std::string_view, 6> kMethods{"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"};
constexpr std::array<std::string_view, 13> kRoutes{
    "api",     "apis",   "drift",  "healthz", "history", "livez", "metrics",
    "openapi", "readyz", "status", "version", "watch",   "log"};

template <std::size_t N>
std::string_view known(const std::array<std::string_view, N>& words, std::string_view word) {
  const auto* found = std::find(words.begin(), words.end(), word);
  return found != words.end() ? *found : std::string_view("other");
}

// The first segment of the path; what goes on for long has a name of its own.
std::string_view route_of(const Request& request) {
  std::string_view path = request.path;
  if (!path.empty()) path.remove_prefix(1);
  const auto first = path.substr(0, path.find('/'));
  if (first == "api" || first == "apis") {
    if (path.size() > 4 && path.substr(path.size() - 4) == "/log") return "log";
    if (request.query.find("watch=") != std::string::npos) return "watch";
  }
  return known(kRoutes, first);
}

// From a cached object to a list of everything.
Histogram make_seconds() {
  return Histogram(
      {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5});
}

}  // namespace

void RequestMeter::count(const Request& request, int status, Duration took) {
  const auto route = route_of(request);
  const auto method = known(kMethods, request.method);
  counts_.with([&](Counts& counts) {
    ++counts.requests[{method, route, status}];
    auto at = counts.seconds.find(route);
    if (at == counts.seconds.end()) at = counts.seconds.emplace(route, make_seconds()).first;
    at->second.observe(std::chrono::duration<double>(took).count());
  });
}

void RequestMeter::count_refused(int status) {
  counts_.with([&](Counts& counts) { ++counts.refused[status]; });
}

void RequestMeter::measure(std::vector<MetricFamily>& out) const {
  auto requests = make_counter("moored_api_requests_total", "Requests answered.");
  auto refused =
      make_counter("moored_api_refused_requests_total",
                   "Requests refused before they were looked at: framing, limits, host.");
  auto seconds = make_histogram("moored_api_request_duration_seconds",
                                "Time from a whole request to the head of its answer.");
  counts_.with([&](const Counts& counts) {
    for (const auto& [key, count] : counts.requests) {
      const auto& [method, route, status] = key;
      requests.add({{"method", std::string(method)},
                    {"route", std::string(route)},
                    {"code", std::to_string(status)}},
                   static_cast<double>(count));
    }
    for (const auto& [status, count] : counts.refused) {
      refused.add({{"code", std::to_string(status)}}, static_cast<double>(count));
    }
    for (const auto& [route, histogram] : counts.seconds) {
      seconds.distributions.push_back({{{"route", std::string(route)}},
                                       histogram.bounds(),
                                       histogram.counts(),
                                       histogram.sum()});
    }
  });
  for (auto* family : {&requests, &refused, &seconds})
    out.push_back(std::move(*family));
}

}  // namespace moored::net::api
