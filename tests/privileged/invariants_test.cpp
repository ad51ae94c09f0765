// The readings find real leaks, planted in namespaces of the test's own.
#include <catch2/catch.hpp>

#include "net/pod/routed_veth_network.hpp"
#include "schema/host/file.hpp"
#include "tests/invariants/readings.hpp"
#include "tests/privileged/own_namespace.hpp"

using namespace moored;
using namespace moored::test;

namespace {

const std::string kUid = "11111111-1111-4111-8111-111111111111";

bool has(const std::vector<std::string>& lines, const std::string& wanted) {
  for (const auto& line : lines) {
    if (line.find(wanted) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("real leaks are found, and nothing is left after taking down", "[invariants]") {
  if (!have_root()) {
    WARN("skipped: needs root for namespaces and packet rules");
    return;
  }
  const OwnNamespace place;
  static const SystemClock clock;
  invariants::Places places{place.directory() + "/state", place.directory() + "/run", "a1b2c3", {}};
  const auto complete = invariants::complete(places);
  REQUIRE(complete);
  places = *complete;
  CHECK(places.cgroup_root == "/moored-a1b2c3");
  const auto gone = [&] { return invariants::check_gone(*invariants::read_leftovers(places)); };
  CHECK(gone().empty());

  net::PodNetworkOptions options;
  options.instance = places.instance;
  options.state_directory = places.state_dir;
  options.run_directory = places.run_dir;
  auto network = net::RoutedVethNetwork::open(options, clock);
  REQUIRE(network);
  REQUIRE((*network)->create(kUid));
  const auto findings = [&](const invariants::Recorded& recorded) {
    auto machine = invariants::read_machine(places);
    REQUIRE(machine);
    machine->rule_blocks.clear();
    return invariants::check(recorded, *machine);
  };

  invariants::Recorded recorded;
  invariants::RecordedPod pod;
  pod.uid = kUid;
  pod.name = "shop/web";
  pod.phase = "Pending";
  pod.address = "10.209.0.2";
  recorded.pods = {pod};
  CHECK(findings(recorded).empty());
  const auto orphaned = findings({});
  CHECK(has(orphaned, "orphan: address 10.209.0.2"));
  CHECK(has(orphaned, "orphan: mount " + places.run_dir + "/net/" + kUid));
  CHECK(has(orphaned, "orphan: network namespace " + kUid));

  REQUIRE(shell("ip link add ma1b2c3deadbeef type veth peer name other0").status == 0);
  CHECK(has(findings(recorded), "orphan: link ma1b2c3deadbeef"));
  REQUIRE(shell("ip link del ma1b2c3deadbeef").status == 0);
  REQUIRE(shell("ip route del 10.209.0.2/32").status == 0);
  CHECK(has(findings(recorded), "missing: route to 10.209.0.2"));
  REQUIRE((*network)->correct({}));
  REQUIRE(write_file(places.state_dir + "/.half.tmp", "x", true));
  CHECK(has(findings(recorded), "leak: temporary file"));
  REQUIRE(make_directories(places.state_dir + "/pods/22222222-2222-4222-8222-222222222222"));
  CHECK(has(findings(recorded), "orphan: directory"));

  const auto left = gone();
  for (const char* what : {"link ma1b2c3", "mount ", "table moored_a1b2c3", "directory ",
                           "entry in the table moored_shared"}) {
    INFO(what);
    CHECK(has(left, what));
  }
  REQUIRE((*network)->remove_all());
  REQUIRE(remove_tree(places.state_dir));
  REQUIRE(remove_tree(places.run_dir));
  CHECK(gone().empty());
}
