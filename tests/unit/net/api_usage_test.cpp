// kubectl top: rates out of counters, and the shape of metrics.k8s.io.
#include "net/api/usage.hpp"

#include <catch2/catch.hpp>

#include "net/api/cpu_rates.hpp"
#include "schema/ports/usage.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

MonoTime at(std::int64_t ms) {
  return MonoTime(milliseconds(ms));
}

TEST_CASE("usage: a rate is what was spent over the time that passed") {
  CpuRates rates;
  CHECK_FALSE(rates.take("a", seconds(5), at(0)));
  CHECK_FALSE(rates.take("a", seconds(5), at(999)));
  const auto rate = rates.take("a", seconds(6), at(2000));
  REQUIRE(rate);
  CHECK(rate->cores == Approx(0.5));
  CHECK(rate->window == seconds(2));
  // Somebody who asks again at once sees the same span, a little longer.
  CHECK(rates.take("a", seconds(6), at(2001))->window == milliseconds(2001));
  CHECK_FALSE(rates.take("b", seconds(0), at(2001)));
}

TEST_CASE("usage: spans follow one another and stay short") {
  CpuRates rates;
  CHECK_FALSE(rates.take("a", seconds(0), at(0)));
  Duration longest{};
  for (int i = 1; i <= 100; ++i) {
    const auto rate = rates.take("a", milliseconds(2500 * i), at(5000 * i));
    REQUIRE(rate);
    CHECK(rate->cores == Approx(0.5));
    longest = std::max(longest, rate->window);
  }
  CHECK(longest <= CpuRates::kKeep + seconds(5));
  // Asked once a minute, the span is that minute.
  for (int i = 1; i <= 5; ++i) {
    CHECK(rates.take("a", seconds(250 + i), at(500'000 + 60'000 * i)));
  }
  CHECK(rates.take("a", seconds(256), at(860'000))->window <= seconds(60));
}

TEST_CASE("usage: counters that fell or were forgotten begin anew") {
  CpuRates rates;
  CHECK_FALSE(rates.take("a", seconds(9), at(0)));
  CHECK_FALSE(rates.take("a", seconds(1), at(5000)));
  CHECK(rates.take("a", seconds(2), at(7000))->cores == Approx(0.5));
  CHECK_FALSE(rates.take("a", seconds(3), at(7000 + 301'000)));
  CHECK(rates.size() == 1);
  rates.forget_old(at(10'000'000));
  CHECK(rates.size() == 0);
}

// Every container spends a quarter of a core of the fake clock's time, the node one and a half.
struct FakeUsage final : UsageReader {
  const Clock& clock;
  std::vector<std::string> gone;
  explicit FakeUsage(const Clock& with) : clock(with) {}
  Usage spent(double cores) const {
    const std::chrono::duration<double> passed = clock.now().mono.time_since_epoch();
    return {std::chrono::duration_cast<nanoseconds>(passed * cores), 3 * 1024 * 1024 + 512};
  }
  Result<Usage> read_usage(const std::string&, const std::string& container) override {
    for (const auto& name : gone) {
      if (name == container) return fail(Code::not_found, "gone");
    }
    return spent(0.25);
  }
  Result<Usage> read_node_usage() override { return spent(1.5); }
};

struct UsageApi {
  test::FakeApi api;
  FakeUsage usage{api.clock};
  CpuRates rates;
  UsageApi() {
    api.context.usage = &usage;
    api.context.rates = &rates;
  }
  void put_pod(const std::string& name, std::vector<std::string> containers) {
    auto pod = test::make_pod(name, "Running");
    pod.metadata.labels["app"] = name;
    pod.status.container_statuses.clear();
    for (const auto& container : containers) {
      ContainerStatus status;
      status.name = container;
      status.container_id = "moored://" + name + "-" + container;
      status.state.running.emplace();
      pod.status.container_statuses.push_back(status);
    }
    api.state.put(pod);
  }
  // The body, after the second reading where one is needed.
  Value read(const std::string& path) {
    auto response = api.get("/apis/metrics.k8s.io/v1beta1" + path);
    REQUIRE(response.status == 200);
    CHECK(response.content_type == "application/json");
    std::string body = response.body ? *response.body : std::string();
    if (response.stream) {
      CHECK(response.stream->pull(api.clock.now(), body));
      CHECK(body.empty());
      CHECK(response.stream->next_due() == api.clock.now().mono + seconds(1));
      api.clock.advance(seconds(1));
      CHECK_FALSE(response.stream->pull(api.clock.now(), body));
    }
    auto value = read_json(body);
    REQUIRE(value);
    return *value;
  }
};

const Value& member(const Value& map, std::string_view name) {
  const auto* found = map.find(name);
  REQUIRE(found != nullptr);
  return *found;
}

TEST_CASE("usage: pods are measured twice and shown with their containers") {
  UsageApi with;
  with.put_pod("web", {"main", "side"});
  auto done = test::make_pod("done", "Succeeded");
  with.api.state.put(done);
  const auto list = with.read("/pods");
  CHECK(member(list, "kind").scalar == "PodMetricsList");
  CHECK(member(list, "apiVersion").scalar == "metrics.k8s.io/v1beta1");
  REQUIRE(member(list, "items").items.size() == 1);
  const auto& pod = member(list, "items").items[0];
  CHECK(member(member(pod, "metadata"), "name").scalar == "web");
  CHECK(member(member(pod, "metadata"), "namespace").scalar == "shop");
  CHECK(member(pod, "window").scalar == "1s");
  REQUIRE(member(pod, "containers").items.size() == 2);
  const auto& main = member(pod, "containers").items[0];
  CHECK(member(main, "name").scalar == "main");
  CHECK(member(member(main, "usage"), "cpu").scalar == "250000000n");
  CHECK(member(member(main, "usage"), "memory").scalar == "3072Ki");
  // From now on the answer comes at once.
  with.api.clock.advance(seconds(2));
  const auto again = with.api.get("/apis/metrics.k8s.io/v1beta1/pods");
  CHECK(again.stream == nullptr);
}

TEST_CASE("usage: one pod, a namespace, a selector") {
  UsageApi with;
  with.put_pod("web", {"main"});
  with.put_pod("db", {"main"});
  CHECK(member(with.read("/namespaces/shop/pods/web"), "kind").scalar == "PodMetrics");
  CHECK(member(with.read("/namespaces/shop/pods"), "items").items.size() == 2);
  CHECK(member(with.read("/namespaces/other/pods"), "items").items.empty());
  CHECK(member(with.read("/pods?labelSelector=app%3Ddb"), "items").items.size() == 1);
  CHECK(with.api.get("/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/none").status == 404);
  CHECK(with.api.get("/apis/metrics.k8s.io/v1beta1/pods?labelSelector=%21%21").status == 400);
  CHECK(with.api.get("/apis/metrics.k8s.io/v1beta1/secrets").status == 404);
}

TEST_CASE("usage: a pod whose container has just gone is left out, others are not") {
  UsageApi with;
  with.put_pod("web", {"main"});
  with.put_pod("db", {"vanished"});
  with.usage.gone = {"vanished"};
  const auto list = with.read("/pods");
  REQUIRE(member(list, "items").items.size() == 1);
  CHECK(member(member(member(list, "items").items[0], "metadata"), "name").scalar == "web");
}

TEST_CASE("usage: the node") {
  UsageApi with;
  with.api.state.put(test::make_node("node1"));
  const auto node = with.read("/nodes/node1");
  CHECK(member(node, "kind").scalar == "NodeMetrics");
  CHECK(member(member(node, "usage"), "cpu").scalar == "1500000000n");
  CHECK(member(member(node, "usage"), "memory").scalar == "3072Ki");
  CHECK(member(with.read("/nodes"), "kind").scalar == "NodeMetricsList");
}

TEST_CASE("usage: nothing is watched, written or shown as a table") {
  UsageApi with;
  with.put_pod("web", {"main"});
  const std::string path = "/apis/metrics.k8s.io/v1beta1/pods";
  CHECK(with.api.get(path + "?watch=true").status == 405);
  CHECK(with.api.ask("POST", path, {}, "{}").status == 405);
  CHECK(with.api.ask("DELETE", "/apis/metrics.k8s.io/v1beta1/nodes/node1").status == 405);
  CHECK(with.api.get(path, "application/json;as=Table;v=v1;g=meta.k8s.io").status == 406);
  CHECK(
      with.api.get(path, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").status ==
      200);
  test::FakeApi blind;
  CHECK(blind.get(path).status == 503);
}

TEST_CASE("usage: discovery lists it behind the core group") {
  UsageApi with;
  const auto list = read_json(*with.api.get("/apis/metrics.k8s.io/v1beta1").body);
  REQUIRE(list);
  const auto& rows = member(*list, "resources").items;
  REQUIRE(rows.size() == 2);
  CHECK(member(rows[0], "name").scalar == "nodes");
  CHECK(member(rows[0], "kind").scalar == "NodeMetrics");
  CHECK(member(rows[0], "singularName").scalar.empty());
  CHECK(member(rows[0], "verbs").items.size() == 2);
  CHECK(all_resources().back().group == "metrics.k8s.io");
}

}  // namespace
}  // namespace moored::net::api
