// The proxy's decisions on a kernel in memory: when it acts, when it waits, what it tells.
#include <sys/eventfd.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "net/proxy/service_proxy.hpp"
#include "schema/host/unique_fd.hpp"
#include "tests/unit/net/proxy_fakes.hpp"
#include "tests/unit/net/rule_model.hpp"

using namespace moored;
using namespace moored::net;
using namespace moored::test;

namespace {

// The kernel of a machine.
struct Machine {
  RuleModel rules;
  std::vector<std::string> scripts;
  std::uint32_t generation = 1;
  int failures = 0;  // how many of the next transactions are refused
  std::vector<Flow> flows;

  // Somebody else adds a rule.
  void meddle(const std::string& rule) {
    rules.frame += rule;
    ++generation;
  }
};

bool replaces(const std::string& script) {
  return script.rfind("add table", 0) == 0;
}

class FakeRules final : public PacketRules {
 public:
  explicit FakeRules(Machine& machine) : machine_(machine) {}
  Status apply(const std::string& script) override {
    if (machine_.failures > 0) {
      --machine_.failures;
      return fail(Code::invalid, "nft: refused");
    }
    if (!machine_.rules.apply(script)) return fail(Code::invalid, "nft: does not fit");
    machine_.scripts.push_back(script);
    ++machine_.generation;
    return {};
  }
  Result<std::string> read_table(const std::string&) override {
    if (machine_.rules.empty()) return fail(Code::not_found, "no table");
    return machine_.rules.listing();
  }
  Result<std::string> read_wanted(const std::string& script, const std::string&) override {
    ++wanted_reads;
    RuleModel model;
    if (!model.apply(script)) return fail(Code::invalid, "nft: does not fit");
    return model.listing();
  }
  Result<std::vector<std::string>> read_tables() override { return std::vector<std::string>{}; }
  int wanted_reads = 0;

 private:
  Machine& machine_;
};

class FakeFlows final : public FlowTable {
 public:
  explicit FakeFlows(Machine& machine) : machine_(machine) {}
  Result<std::size_t> forget(const std::function<bool(const Flow&)>& which) override {
    const auto before = machine_.flows.size();
    machine_.flows.erase(std::remove_if(machine_.flows.begin(), machine_.flows.end(), which),
                         machine_.flows.end());
    return before - machine_.flows.size();
  }

 private:
  Machine& machine_;
};

class FakeEvents final : public RuleEvents {
 public:
  explicit FakeEvents(Machine& machine)
      : machine_(machine), fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  int descriptor() const override { return fd_.get(); }
  Result<std::optional<RuleGeneration>> drain() override { return std::optional<RuleGeneration>(); }
  Result<RuleGeneration> read() override { return RuleGeneration{machine_.generation, {}}; }

 private:
  Machine& machine_;
  UniqueFd fd_;
};

class SetClock final : public Clock {
 public:
  Now now() const override { return {Time(Duration(elapsed)), MonoTime(Duration(elapsed))}; }
  std::int64_t elapsed = 1'000'000'000;
};

struct Proxy {
  explicit Proxy(DriftMode mode = DriftMode::correct) : drift(mode) {}

  DriftMode drift;
  Machine machine;
  MemoryState state;
  FactList facts;
  SetClock clock;
  FakeRules* rules = nullptr;  // owned by the proxy
  std::unique_ptr<ServiceProxy> proxy = make();

  std::unique_ptr<ServiceProxy> make() {
    ProxyOptions options;
    options.rules = {"a1b2c3", *parse_prefix("10.210.0.0/16")};
    options.node_name = "node";
    options.drift = drift;
    auto owned = std::make_unique<FakeRules>(machine);
    rules = owned.get();
    ProxyKernel kernel{std::move(owned), std::make_unique<FakeFlows>(machine),
                       std::make_unique<FakeEvents>(machine)};
    return std::make_unique<ServiceProxy>(options, std::move(kernel), state, state, facts, clock);
  }
  void put(const std::vector<std::string>& addresses, const char* protocol = "TCP") {
    state.put(make_object(make_service("web", "10.210.0.10", 80, protocol)));
    state.put(make_object(make_slice("web", addresses, 8080, protocol)));
  }
};

}  // namespace

TEST_CASE("the first step puts everything in place, the next only what differs", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.machine.scripts.size() == 1);
  CHECK(replaces(p.machine.scripts[0]));
  REQUIRE(p.facts.all<ProxyApplied>().size() == 1);
  CHECK(p.facts.all<ProxyApplied>()[0].resource_version == 2);

  REQUIRE(p.proxy->step());
  CHECK(p.machine.scripts.size() == 1);  // nothing changed, nothing is done or told
  CHECK(p.facts.all<ProxyApplied>().size() == 1);

  p.put({"10.209.0.2", "10.209.0.3"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.machine.scripts.size() == 2);
  CHECK_FALSE(replaces(p.machine.scripts[1]));
  CHECK(p.facts.all<ProxyApplied>().size() == 2);
}

TEST_CASE("commits that concern no Service cost nothing", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  ConfigMap other;
  other.metadata.namespace_name = "shop";
  other.metadata.name = "settings";
  p.state.put(make_object(other));
  REQUIRE(p.proxy->step());
  Pod pod;
  pod.metadata.namespace_name = "shop";
  pod.metadata.name = "without-ports";
  p.state.put(make_object(pod));
  REQUIRE(p.proxy->step());
  CHECK(p.machine.scripts.size() == 1);
  CHECK(p.facts.all<ProxyApplied>().size() == 1);
}

TEST_CASE("a refused transaction is told once and made up for", "[proxy]") {
  Proxy p;
  p.machine.failures = 2;
  p.put({"10.209.0.2"});
  CHECK_FALSE(p.proxy->step());
  CHECK_FALSE(p.proxy->step());
  REQUIRE(p.facts.all<ProxyApplied>().size() == 1);
  REQUIRE(p.facts.all<ProxyApplied>()[0].error);
  CHECK(p.facts.all<ProxyApplied>()[0].error->message == "nft: refused");
  REQUIRE(p.proxy->step());
  CHECK(p.machine.scripts.size() == 1);
  CHECK_FALSE(p.facts.all<ProxyApplied>().back().error);
}

TEST_CASE("when the difference is refused, everything is put in place", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  p.machine.failures = 1;
  p.put({"10.209.0.3"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.machine.scripts.size() == 2);
  CHECK(replaces(p.machine.scripts[1]));
  CHECK(p.machine.scripts[1].find("10.209.0.3") != std::string::npos);
}

TEST_CASE("a new daemon leaves rules that fit alone", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  p.proxy = p.make();
  REQUIRE(p.proxy->step());
  CHECK(p.machine.scripts.size() == 1);
  CHECK(p.facts.all<ProxyApplied>().size() == 1);
  p.proxy = p.make();
  p.machine.meddle("foreign\n");
  REQUIRE(p.proxy->step());
  CHECK(p.machine.scripts.size() == 2);
}

TEST_CASE("a sweep costs nothing while nobody else changes rules", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.proxy->sweep());
  const int reads = p.rules->wanted_reads;
  p.put({"10.209.0.3"});
  REQUIRE(p.proxy->step());  // our own transaction on a known state gives a known state
  REQUIRE(p.proxy->sweep());
  REQUIRE(p.proxy->sweep());
  CHECK(p.rules->wanted_reads == reads);
  CHECK(p.facts.all<DriftObserved>().empty());
}

TEST_CASE("foreign changes are told with both texts and put right", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.proxy->sweep());
  p.machine.meddle("foreign rule\n");
  REQUIRE(p.proxy->sweep());
  const auto drift = p.facts.all<DriftObserved>();
  REQUIRE(drift.size() == 1);
  CHECK(drift[0].record.field == "rule");
  CHECK(drift[0].record.observed.find("foreign rule") != std::string::npos);
  CHECK(drift[0].record.object.text() == "Node/node");
  CHECK(drift[0].record.corrected_at.has_value());
  REQUIRE(p.proxy->sweep());
  CHECK(p.facts.all<DriftObserved>().size() == 1);

  p.machine.rules = {};
  ++p.machine.generation;
  REQUIRE(p.proxy->sweep());
  REQUIRE(p.facts.all<DriftObserved>().size() == 2);
  CHECK(p.facts.all<DriftObserved>()[1].record.observed == "missing");
  CHECK_FALSE(p.machine.rules.empty());
}

TEST_CASE("differences are only reported when that is wanted, once", "[proxy]") {
  Proxy p(DriftMode::report);
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  REQUIRE(p.proxy->sweep());
  p.machine.meddle("foreign rule\n");
  REQUIRE(p.proxy->sweep());
  REQUIRE(p.proxy->sweep());
  auto drift = p.facts.all<DriftObserved>();
  REQUIRE(drift.size() == 1);
  CHECK_FALSE(drift[0].record.corrected_at);
  // Somebody takes it back: it is over.
  REQUIRE(p.proxy->remove_all());
  REQUIRE(p.proxy->step());
  REQUIRE(p.proxy->sweep());
  drift = p.facts.all<DriftObserved>();
  REQUIRE(drift.size() == 2);
  CHECK(drift[1].record.id == drift[0].record.id);
  CHECK(drift[1].record.corrected_at.has_value());
}

TEST_CASE("differences are not told when nobody wants to know", "[proxy]") {
  Proxy p(DriftMode::off);
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  p.machine.meddle("foreign rule\n");
  REQUIRE(p.proxy->sweep());
  CHECK(p.facts.all<DriftObserved>().empty());
}

TEST_CASE("UDP flows to backends that are gone are forgotten, others stay", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2", "10.209.0.3"}, "UDP");
  REQUIRE(p.proxy->step());
  Flow gone;
  gone.protocol = 17;
  gone.destination = *parse_ipv4("10.210.0.10");
  gone.destination_port = 80;
  gone.answerer = *parse_ipv4("10.209.0.2");
  gone.answerer_port = 8080;
  Flow kept = gone;
  kept.answerer = *parse_ipv4("10.209.0.3");
  p.machine.flows = {gone, kept};
  p.put({"10.209.0.3"}, "UDP");
  REQUIRE(p.proxy->step());
  REQUIRE(p.machine.flows.size() == 1);
  CHECK(p.machine.flows[0].answerer == kept.answerer);
}

TEST_CASE("removing everything can be repeated and undone", "[proxy]") {
  Proxy p;
  p.put({"10.209.0.2"});
  REQUIRE(p.proxy->step());
  CHECK(p.proxy->remove_all());
  CHECK(p.proxy->remove_all());
  CHECK(p.machine.scripts.back() ==
        "add table ip moored_a1b2c3_services\ndelete table ip moored_a1b2c3_services\n");
  CHECK(p.proxy->sweep());  // nothing is wanted, nothing is compared
  CHECK(p.facts.all<DriftObserved>().empty());
}
