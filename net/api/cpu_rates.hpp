// Rates of processor time out of counters.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "schema/base/guarded.hpp"
#include "schema/base/time.hpp"

namespace moored::net::api {

// Processor time over a span.
struct CpuRate {
  double cores = 0;
  Duration window{};
};

// Turns counters of processor time into rates. Nothing is measured between requests: what a request
// reads is the start of the span of the next one. Thread safe.
class CpuRates {
 public:
  static constexpr Duration kLeast = std::chrono::seconds(1);  // shorter spans tell only noise
  static constexpr Duration kKeep = std::chrono::seconds(15);  // longer spans begin anew
  static constexpr Duration kForget = std::chrono::minutes(5);

  // Takes a reading of what the key names and gives the rate since the start of its span; nothing:
  // there is no start that is at least kLeast old. A counter that fell begins anew.
  std::optional<CpuRate> take(const std::string& key, std::chrono::nanoseconds cpu, MonoTime now);
  // Forgets what was not read for long.
  void forget_old(MonoTime now);
  std::size_t size() const;

 private:
  struct Reading {
    std::chrono::nanoseconds cpu{0};
    MonoTime at{};
  };
  struct Span {
    Reading start;
    Reading newest;
  };
  Guarded<std::map<std::string, Span>> spans_;
};

}  // namespace moored::net::api
