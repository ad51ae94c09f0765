#include "schema/model/pod_resources.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace moored {
namespace {

const std::string kCpu = "cpu";
const std::string kMemory = "memory";

// A positive amount of a list; zero counts as absent.
const Quantity* find_amount(const ResourceList& list, const std::string& name) {
  const auto found = list.find(name);
  return found == list.end() || found->second.milli() <= 0 ? nullptr : &found->second;
}

// cpu is counted in thousandths, everything else in whole units.
std::int64_t units(const Quantity& quantity, const std::string& name) {
  return name == kCpu ? quantity.milli() : quantity.value();
}

// Sums stay at the largest number instead of turning negative.
std::int64_t add(std::int64_t a, std::int64_t b) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  return a > kMax - b ? kMax : a + b;
}

// The limit stands in for a request that is missing, not for one that is zero.
std::int64_t request_of(const Container& container, const std::string& name) {
  const auto& resources = container.resources;
  if (const auto found = resources.requests.find(name); found != resources.requests.end()) {
    return std::max<std::int64_t>(0, units(found->second, name));
  }
  const auto* limit = find_amount(resources.limits, name);
  return limit == nullptr ? 0 : units(*limit, name);
}

// Nothing: the container may take what the machine has.
std::optional<std::int64_t> limit_of(const Container& container, const std::string& name) {
  const auto* limit = find_amount(container.resources.limits, name);
  if (limit == nullptr) return std::nullopt;
  return units(*limit, name);
}

// The rule of requests and limits alike: sum of all that run together, or the largest step before.
template <class Amount>
std::int64_t highest(const PodSpec& spec, Amount amount) {
  std::int64_t sidecars = 0;
  std::int64_t peak = 0;
  // Init containers run one after the other beside the sidecars started before them, so a step
  // costs its own amount and all earlier sidecars. Source: the sidecar KEP (753).
  for (const auto& init : spec.init_containers) {
    const auto step = add(sidecars, amount(init));
    peak = std::max(peak, step);
    if (is_sidecar(init)) sidecars = step;
  }
  std::int64_t together = sidecars;
  for (const auto& container : spec.containers) together = add(together, amount(container));
  return std::max(peak, together);
}

// Both lists count for the QoS class and for limits, as they do in Kubernetes.
template <class Visit>
bool every_container(const PodSpec& spec, Visit visit) {
  return std::all_of(spec.init_containers.begin(), spec.init_containers.end(), visit) &&
         std::all_of(spec.containers.begin(), spec.containers.end(), visit);
}

// One container without a limit makes the whole pod unlimited.
std::optional<std::int64_t> pod_limit(const PodSpec& spec, const std::string& name) {
  const bool bounded =
      every_container(spec, [&](const Container& c) { return limit_of(c, name).has_value(); });
  if (!bounded) return std::nullopt;
  return highest(spec, [&](const Container& c) { return *limit_of(c, name); });
}

// Zero counts as absent, as in Kubernetes.
bool asks_nothing(const Container& container) {
  const auto& r = container.resources;
  return find_amount(r.requests, kCpu) == nullptr && find_amount(r.requests, kMemory) == nullptr &&
         find_amount(r.limits, kCpu) == nullptr && find_amount(r.limits, kMemory) == nullptr;
}

// Both limits are set and no request differs from its limit.
bool is_bounded(const Container& container) {
  const std::array<const std::string*, 2> names{&kCpu, &kMemory};
  return std::all_of(names.begin(), names.end(), [&](const std::string* name) {
    // A missing request equals the limit by default, so it does not break Guaranteed.
    const auto* limit = find_amount(container.resources.limits, *name);
    const auto* request = find_amount(container.resources.requests, *name);
    return limit != nullptr && (request == nullptr || *request == *limit);
  });
}

}  // namespace

// Only cpu and memory decide. Source: core/v1 ComputePodQOS.
std::string_view qos_class(const PodSpec& spec) {
  if (every_container(spec, &asks_nothing)) return kBestEffort;
  return every_container(spec, &is_bounded) ? kGuaranteed : kBurstable;
}

bool is_sidecar(const Container& init_container) {
  return init_container.restart_policy == "Always";
}

// In thousandths of a core; memory below in bytes.
MilliCpu cpu_request(const Container& container) { return {request_of(container, kCpu)}; }
Bytes memory_request(const Container& container) { return {request_of(container, kMemory)}; }

std::optional<MilliCpu> cpu_limit(const Container& container) {
  const auto limit = limit_of(container, kCpu);
  return limit ? std::optional(MilliCpu{*limit}) : std::nullopt;
}

std::optional<Bytes> memory_limit(const Container& container) {
  const auto limit = limit_of(container, kMemory);
  return limit ? std::optional(Bytes{*limit}) : std::nullopt;
}

PodResources pod_resources(const PodSpec& spec) {
  PodResources out;
  out.cpu_request = {pod_request(spec, kCpu)};
  out.memory_request = {pod_request(spec, kMemory)};
  if (const auto cpu = pod_limit(spec, kCpu)) out.cpu_limit = MilliCpu{*cpu};
  if (const auto memory = pod_limit(spec, kMemory)) out.memory_limit = Bytes{*memory};
  return out;
}

std::int64_t pod_request(const PodSpec& spec, const std::string& resource) {
  return highest(spec, [&](const Container& c) { return request_of(c, resource); });
}

}  // namespace moored
