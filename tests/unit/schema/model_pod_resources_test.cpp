// Quality of service and what a pod asks of the machine.
#include <catch2/catch.hpp>

#include "schema/model/pod_resources.hpp"

namespace moored {
namespace {

using Amounts = std::vector<std::pair<std::string, std::string>>;

Container container(const Amounts& requests, const Amounts& limits) {
  Container out;
  for (const auto& [name, text] : requests) out.resources.requests[name] = *Quantity::parse(text);
  for (const auto& [name, text] : limits) out.resources.limits[name] = *Quantity::parse(text);
  return out;
}

Container sidecar(Container from) {
  from.restart_policy = "Always";
  return from;
}

PodSpec pod(std::vector<Container> containers, std::vector<Container> init = {}) {
  PodSpec out;
  out.containers = std::move(containers);
  out.init_containers = std::move(init);
  return out;
}

const Amounts kBoth{{"cpu", "500m"}, {"memory", "64Mi"}};
const Amounts kZero{{"cpu", "0"}, {"memory", "0"}};

TEST_CASE("the quality of service follows requests and limits") {
  const auto nothing = container({}, {});
  const auto bounded = container(kBoth, kBoth);
  CHECK(qos_class(pod({nothing})) == kBestEffort);
  CHECK(qos_class(pod({container(kZero, kZero)})) == kBestEffort);
  CHECK(qos_class(pod({container({{"example.com/x", "1"}}, {})})) == kBestEffort);
  CHECK(qos_class(pod({container({{"ephemeral-storage", "1Gi"}}, {})})) == kBestEffort);
  CHECK(qos_class(pod({bounded})) == kGuaranteed);
  CHECK(qos_class(pod({container({}, kBoth)})) == kGuaranteed);
  CHECK(qos_class(pod({bounded, nothing})) == kBurstable);
  CHECK(qos_class(pod({bounded}, {nothing})) == kBurstable);
  CHECK(qos_class(pod({bounded}, {bounded})) == kGuaranteed);
  CHECK(qos_class(pod({container({{"cpu", "1"}}, {})})) == kBurstable);
  CHECK(qos_class(pod({container({}, {{"memory", "1Mi"}})})) == kBurstable);
  CHECK(qos_class(pod({container({{"cpu", "250m"}, {"memory", "64Mi"}}, kBoth)})) == kBurstable);
  // The same amount in another spelling is the same amount.
  CHECK(qos_class(pod({container({{"cpu", "0.5"}, {"memory", "65536Ki"}}, kBoth)})) ==
        kGuaranteed);
}

TEST_CASE("a missing request is the limit, an explicit zero is zero") {
  CHECK(cpu_request(container({}, kBoth)) == MilliCpu{500});
  CHECK(cpu_request(container(kZero, kBoth)) == MilliCpu{0});
  CHECK(memory_request(container({}, {})) == Bytes{0});
  CHECK(memory_request(container({{"memory", "1Ki"}}, kBoth)) == Bytes{1024});
  CHECK_FALSE(cpu_limit(container(kBoth, {})));
  CHECK_FALSE(memory_limit(container(kBoth, kZero)));
  CHECK(memory_limit(container({}, kBoth)) == Bytes{64 << 20});
}

TEST_CASE("a pod needs the sum of what runs together") {
  const auto resources = pod_resources(pod({container(kBoth, kBoth), container(kBoth, kBoth)}));
  CHECK(resources.cpu_request == MilliCpu{1000});
  CHECK(resources.memory_request == Bytes{128 << 20});
  CHECK(resources.cpu_limit == MilliCpu{1000});
  CHECK(resources.memory_limit == Bytes{128 << 20});
}

TEST_CASE("an init container counts by itself when it is larger") {
  const auto big = container({{"cpu", "2"}}, {{"cpu", "2"}});
  const auto small = container({{"cpu", "100m"}}, {{"cpu", "100m"}});
  CHECK(pod_resources(pod({small}, {big})).cpu_request == MilliCpu{2000});
  CHECK(pod_resources(pod({small}, {big})).cpu_limit == MilliCpu{2000});
  CHECK(pod_resources(pod({big}, {small})).cpu_request == MilliCpu{2000});
}

TEST_CASE("a sidecar counts with the containers and with the steps after it") {
  const auto one = container({{"cpu", "1"}}, {});
  const auto two = container({{"cpu", "2"}}, {});
  // Sidecar before the step: 1 + 2 while starting, 1 + 1 later.
  CHECK(pod_request(pod({one}, {sidecar(one), two}), "cpu") == 3000);
  // Step before the sidecar: the larger of 2 and 1 + 1.
  CHECK(pod_request(pod({one}, {two, sidecar(one)}), "cpu") == 2000);
  CHECK(pod_request(pod({two}, {sidecar(one), sidecar(one)}), "cpu") == 4000);
}

TEST_CASE("a pod has a limit only when every container has one") {
  const auto bounded = container({}, {{"cpu", "1"}});
  const auto open = container({}, {});
  CHECK_FALSE(pod_resources(pod({bounded, open})).cpu_limit);
  CHECK_FALSE(pod_resources(pod({bounded}, {open})).cpu_limit);
  CHECK_FALSE(pod_resources(pod({bounded})).memory_limit);
  CHECK(pod_resources(pod({bounded})).cpu_limit == MilliCpu{1000});
}

TEST_CASE("other resources count in whole units and huge sums do not overflow") {
  CHECK(pod_request(pod({container({{"example.com/x", "2"}}, {})}), "example.com/x") == 2);
  CHECK(pod_request(pod({}), "cpu") == 0);
  const auto huge = container({{"cpu", "9P"}}, {});
  CHECK(pod_request(pod({huge, huge}), "cpu") == INT64_MAX);
}

}  // namespace
}  // namespace moored
