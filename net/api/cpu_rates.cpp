#include "net/api/cpu_rates.hpp"

namespace moored::net::api {

std::optional<CpuRate> CpuRates::take(const std::string& key, std::chrono::nanoseconds cpu,
                                      MonoTime now) {
  return spans_.with([&](auto& spans) -> std::optional<CpuRate> {
    const Reading reading{cpu, now};
    const auto [at, added] = spans.emplace(key, Span{reading, reading});
    auto& span = at->second;
    if (added) return std::nullopt;
    if (cpu < span.newest.cpu || now - span.newest.at > kForget) {
      span = {reading, reading};
      return std::nullopt;
    }
    const Duration window = now - span.start.at;
    if (window < kLeast) return std::nullopt;
    const std::chrono::duration<double> spent = cpu - span.start.cpu;
    const std::chrono::duration<double> passed = window;
    // A long span ends here; the next one starts at the reading before, unless that is old, too.
    if (window >= kKeep) span.start = now - span.newest.at >= kKeep ? reading : span.newest;
    span.newest = reading;
    return CpuRate{spent.count() / passed.count(), window};
  });
}

void CpuRates::forget_old(MonoTime now) {
  spans_.with([&](auto& spans) {
    std::erase_if(spans, [&](const auto& one) { return now - one.second.newest.at > kForget; });
  });
}

std::size_t CpuRates::size() const {
  return spans_.with([](const auto& spans) { return spans.size(); });
}

}  // namespace moored::net::api
