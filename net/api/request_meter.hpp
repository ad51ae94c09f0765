// Counts requests and how long their answers took.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "net/api/http.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/histogram.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/metrics.hpp"

namespace moored::net::api {

// Thread safe. The labels come from short lists of our own, so that no client can make more series.
class RequestMeter {
 public:
  // A request was answered; of a stream the time to its head.
  void count(const Request& request, int status, Duration took);
  // A request was refused by the transport, before any route saw it.
  void count_refused(int status);
  void measure(std::vector<MetricFamily>& out) const;

 private:
  using Key = std::tuple<std::string_view, std::string_view, int>;  // method, route, status
  struct Counts {
    std::map<Key, std::uint64_t> requests;
    std::map<int, std::uint64_t> refused;
    std::map<std::string_view, Histogram> seconds;  // by route
  };
  Guarded<Counts> counts_;
};

}  // namespace moored::net::api
