// Pods, their node and their rules in the kernel, inside network namespaces of the test's own.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include <poll.h>

#include "net/link/namespaces.hpp"
#include "net/link/packet_rules.hpp"
#include "net/link/route_socket.hpp"
#include "net/pod/node_rules.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "schema/host/file.hpp"
#include "tests/privileged/own_namespace.hpp"
#include "tests/unit/runtime/no_descriptors.hpp"

using namespace moored;
using moored::net::RoutedVethNetwork;
using moored::test::ask_once;
using moored::test::NamedServer;
using moored::test::OwnNamespace;
using moored::test::shell;

namespace {

#define REQUIRE_ROOT()                                           \
  if (!test::have_root()) {                                      \
    WARN("skipped: needs root for namespaces and packet rules"); \
    return;                                                      \
  }

net::PodNetworkOptions make_options(const OwnNamespace& place, const std::string& instance,
                                    const char* pods = "10.209.0.0/16",
                                    const char* services = "10.210.0.0/16") {
  net::PodNetworkOptions options;
  options.instance = instance;
  options.state_directory = place.directory() + "/state-" + instance;
  options.run_directory = place.directory() + "/run-" + instance;
  options.pods = *net::parse_prefix(pods);
  options.services = *net::parse_prefix(services);
  return options;
}

std::unique_ptr<RoutedVethNetwork> open_network(const net::PodNetworkOptions& options) {
  static const SystemClock clock;
  auto network = RoutedVethNetwork::open(options, clock);
  if (!network) FAIL(network.error().text());
  return *std::move(network);
}

PodNetworkReport make_pod(RoutedVethNetwork& network, const std::string& uid) {
  auto report = network.create(uid);
  if (!report) FAIL(report.error().text());
  return *report;
}

// Everything that an instance may leave in the kernel, as text to be compared.
std::string kernel_state() {
  return shell(
             "ip -br link | sed 's/@.*//; s/  .*//'; ip route; ip -br addr show lo; nft list "
             "tables; cat /proc/sys/net/ipv4/conf/*/forwarding; grep -c run-a1b2c3 /proc/mounts")
      .out;
}

std::string fields(const std::vector<NetworkDrift>& drift) {
  std::string out;
  for (const auto& row : drift)
    out += (out.empty() ? "" : " ") + row.field;
  return out;
}

}  // namespace

TEST_CASE("pods reach each other and the node, and the node reaches them", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto network = open_network(make_options(place, "a1b2c3"));
  const auto one = make_pod(*network, "uid-one");
  const auto two = make_pod(*network, "uid-two");
  CHECK(one.address == "10.209.0.2");
  CHECK(two.address == "10.209.0.3");
  CHECK(network->node_address() == "10.209.0.1");

  const NamedServer server_one(one.namespace_path, 80, "one");
  const NamedServer server_two(two.namespace_path, 80, "two");
  const NamedServer server_node({}, 80, "node");
  CHECK(ask_once(one.namespace_path, two.address, 80).value_or("-") == "two");
  CHECK(ask_once(two.namespace_path, one.address, 80).value_or("-") == "one");
  CHECK(ask_once({}, one.address, 80).value_or("-") == "one");
  CHECK(ask_once(one.namespace_path, "10.209.0.1", 80).value_or("-") == "node");
  CHECK(ask_once(one.namespace_path, "127.0.0.1", 80).value_or("-") == "one");
  CHECK_FALSE(ask_once(one.namespace_path, "10.209.77.77", 80));  // no such pod
  // Each sees the other's own address, whichever protocol it speaks.
  for (const bool udp : {false, true}) {
    const NamedServer witness(two.namespace_path, 81, test::kTellsPeer, udp);
    const auto fd = test::dial(one.namespace_path, two.address, 81, udp);
    REQUIRE(fd);
    CHECK(test::ask(fd->get()).value_or("-") == one.address);
  }
}

TEST_CASE("rules are read again when anybody changed any", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const std::string runs = place.directory() + "/runs";
  const std::string counted = place.directory() + "/nft";
  REQUIRE(write_file(counted, "#!/bin/sh\necho run >> " + runs + "\nexec /usr/sbin/nft \"$@\"\n",
                     true, 0700));
  const auto count = [&] { return read_file(runs, 4096).value_or("").size() / 4; };
  auto rules = net::make_remembering_packet_rules(counted);
  REQUIRE(rules);
  CHECK((*rules)->read_table("ours").error().code == Code::not_found);
  CHECK((*rules)->read_table("ours").error().code == Code::not_found);
  CHECK(count() == 1);  // the names of all tables
  REQUIRE(shell("nft add table ip ours; nft add chain ip ours one").status == 0);
  const auto listing = (*rules)->read_table("ours");
  REQUIRE(listing);
  CHECK(listing->find("chain one") != std::string::npos);
  CHECK((*rules)->read_table("ours").value_or("") == *listing);
  CHECK(count() == 3);  // the names, and ours
  // Also a table of somebody else: the kernel numbers all transactions together.
  REQUIRE(shell("nft add table ip theirs").status == 0);
  CHECK((*rules)->read_table("ours").value_or("") == *listing);
  CHECK(count() == 5);
  REQUIRE((*rules)->apply("add chain ip ours two\n"));
  CHECK((*rules)->read_table("ours").value_or("").find("chain two") != std::string::npos);
  REQUIRE(shell("nft delete table ip ours").status == 0);
  CHECK((*rules)->read_table("ours").error().code == Code::not_found);
}

TEST_CASE("a pod's network is made once and can be taken away twice", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto before = kernel_state();
  const auto options = make_options(place, "a1b2c3");
  auto network = open_network(options);
  const auto first = make_pod(*network, "uid-one");
  const auto again = make_pod(*network, "uid-one");
  CHECK(again.address == first.address);
  REQUIRE(network->list());
  CHECK(network->list()->size() == 1);

  // A new daemon finds everything as it was.
  network.reset();
  network = open_network(options);
  REQUIRE(network->list()->size() == 1);
  CHECK(network->list()->front().address == first.address);
  CHECK(network->list()->front().namespace_path == first.namespace_path);
  CHECK(network->correct({})->empty());

  CHECK(network->remove("uid-one"));
  CHECK(network->remove("uid-one"));
  CHECK(network->list()->empty());
  // An address rests before it is given to the next.
  CHECK(make_pod(*network, "uid-two").address != first.address);
  CHECK(network->remove_all());
  CHECK(network->remove_all());
  CHECK(kernel_state() == before);
  CHECK_FALSE(path_exists(options.run_directory + "/net"));
}

TEST_CASE("a lost or damaged address file is read off the running pods", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto options = make_options(place, "a1b2c3");
  const auto file = options.state_directory + "/network/addresses";
  std::map<std::string, std::string> before;
  std::string text;
  {
    auto network = open_network(options);
    for (const char* uid : {"pod-1", "pod-2", "pod-3"}) {
      before[uid] = make_pod(*network, uid).address;
    }
    text = *read_file(file);
  }
  static const SystemClock clock;
  SECTION("not to be read now") {
    const test::NoDescriptors none;
    CHECK(RoutedVethNetwork::open(options, clock).error().code == Code::exhausted);
    CHECK(path_exists(file));  // nothing is wrong with it
  }
  SECTION("garbage") { REQUIRE(write_file(file, "no addresses here\n")); }
  SECTION("half of it") { REQUIRE(write_file(file, text.substr(0, text.size() / 2))); }
  SECTION("an address twice") { REQUIRE(write_file(file, text + "pod x 10.209.0.2 m0\n")); }
  SECTION("gone") { REQUIRE(std::filesystem::remove(file)); }
  SECTION("an old copy") { REQUIRE(write_file(file, "moored-addresses 1\nnext 10.209.0.2\n")); }
  auto network = open_network(options);
  std::map<std::string, std::string> after;
  const auto reports = network->list();
  REQUIRE(reports);
  for (const auto& report : *reports) {
    after[report.uid] = report.address;
    CHECK_FALSE(report.namespace_path.empty());
  }
  CHECK(after == before);
  // Nothing is put right, since nothing was touched, and nobody gets what is taken.
  CHECK(network->correct({})->empty());
  CHECK(network->correct({})->empty());
  const auto fresh = make_pod(*network, "pod-4").address;
  for (const auto& [uid, address] : before) CHECK(fresh != address);
  // What was read is written down again.
  network.reset();
  CHECK(open_network(options)->list()->size() == 4);
  REQUIRE(open_network(options)->remove_all());
}

TEST_CASE("what somebody changes in the kernel is told and put back", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto network = open_network(make_options(place, "a1b2c3"));
  const auto pod = make_pod(*network, "uid-one");
  const auto other = make_pod(*network, "uid-two");
  const NamedServer server(pod.namespace_path, 80, "one");
  const auto link = shell("ip -br link | grep -o '^ma1b2c3[0-9a-f]*' | head -1").out;
  REQUIRE(link.size() > 8);
  REQUIRE(network->correct({})->empty());
  const auto inside = "nsenter --net=" + pod.namespace_path + " ";

  struct Row {
    std::string damage;
    std::string fields;
  };
  const Row rows[] = {
      {"ip route del 10.209.0.2/32", "route"},
      {"ip route del unreachable 10.209.0.0/16", "route"},
      {"ip route del 10.210.0.0/16", "route"},
      {"ip addr del 10.209.0.1/32 dev lo", "address route route route"},
      {"ip neigh del 10.209.0.2 dev $(ip -br route get 10.209.0.2 | grep -o 'ma1b2c3[0-9a-f]*')",
       "neighbour"},
      {"ip link set $(ip route get 10.209.0.2 | grep -o 'ma1b2c3[0-9a-f]*') down",
       "link route neighbour"},
      {"ip link del $(ip route get 10.209.0.2 | grep -o 'ma1b2c3[0-9a-f]*')", "link"},
      {inside + "ip addr del 10.209.0.2/32 dev eth0", "address route route neighbour"},
      {inside + "ip route del default", "route"},
      {inside + "ip neigh del 169.254.1.1 dev eth0", "neighbour"},
      {inside + "ip link set lo down", "link"},
      {"nft flush table ip moored_a1b2c3", "rule"},
      {"nft delete table ip moored_a1b2c3", "rule"},
      {"nft insert rule ip moored_a1b2c3 guard accept", "rule"},
  };
  for (const auto& row : rows) {
    INFO(row.damage);
    const auto damage = shell(row.damage);
    INFO(damage.out);
    REQUIRE(damage.status == 0);
    const auto found = network->correct({});
    REQUIRE(found);
    CHECK(fields(*found) == row.fields);
    CHECK(fields(*network->correct({})) == "");
    CHECK(ask_once(other.namespace_path, pod.address, 80).value_or("-") == "one");
    CHECK(ask_once({}, pod.address, 80).value_or("-") == "one");
  }
}

TEST_CASE("rules that are taken away while they are made are made once more", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  auto options = make_options(place, "a1b2c3");
  options.nft_program = place.directory() + "/nft";
  const std::string once = place.directory() + "/once";
  REQUIRE(write_file(options.nft_program,
                     "#!/bin/sh\n/usr/sbin/nft \"$@\"; code=$?\n"
                     "[ \"$1\" = -f ] && [ ! -e " + once + " ] &&\n"
                     "  /usr/sbin/nft delete table ip moored_a1b2c3 2>/dev/null && touch " + once +
                         "\nexit $code\n",
                     true, 0755));
  const auto network = open_network(options);
  CHECK(path_exists(once));
  CHECK(shell("nft list tables").out.find("moored_a1b2c3") != std::string::npos);
  CHECK(network->correct({})->empty());
  REQUIRE(network->remove_all());
}

TEST_CASE("whoever changes a network is named by the kernel", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto network = open_network(make_options(place, "a1b2c3"));
  const auto pod = make_pod(*network, "uid-one");
  const auto inside = "nsenter --net=" + pod.namespace_path + " ";
  struct Row {
    std::string damage;
    std::string actor;
  };
  const Row rows[] = {{"ip route del 10.209.0.2/32", "["},
                      {inside + "ip route del default", "["},
                      {inside + "ip addr flush dev eth0", "["},
                      {"nft flush chain ip moored_a1b2c3 guard", "nft["}};
  for (const auto& row : rows) {
    INFO(row.damage);
    while (network->take_hint()) {
    }
    REQUIRE(shell(row.damage).status == 0);
    pollfd news{network->descriptor(), POLLIN, 0};
    REQUIRE(::poll(&news, 1, 5000) == 1);
    const auto actor = network->take_hint();
    REQUIRE(actor);
    CHECK(actor->find(row.actor) != std::string::npos);
    // Putting it right is our own doing and no news.
    CHECK_FALSE(network->correct({})->empty());
    CHECK_FALSE(network->take_hint().value_or("").rfind("ip[", 0) == 0);
    CHECK(network->correct({})->empty());
  }
  // Tables of others are none of our business.
  while (network->take_hint()) {
  }
  REQUIRE(shell("nft add table ip foreign").status == 0);
  CHECK_FALSE(network->take_hint());
}

TEST_CASE("differences can be told without being put right", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto network = open_network(make_options(place, "a1b2c3"));
  const auto pod = make_pod(*network, "uid-one");
  REQUIRE(shell("ip route del 10.209.0.2/32").status == 0);
  REQUIRE(shell("nft flush table ip moored_a1b2c3").status == 0);
  NetworkModes modes;
  modes.node = DriftMode::report;
  for (int i = 0; i < 2; ++i) {
    const auto found = network->correct(modes);
    REQUIRE(found);
    CHECK(fields(*found) == "rule route");
    for (const auto& drift : *found) CHECK_FALSE(drift.corrected);
  }
  modes.node = DriftMode::off;
  CHECK(network->correct(modes)->empty());
  modes.pods["uid-one"] = DriftMode::correct;
  CHECK(fields(*network->correct(modes)) == "route");
  CHECK(fields(*network->correct({})) == "rule");
  CHECK(network->correct({})->empty());
}

TEST_CASE("rules that changed while no daemon ran are told by the next one", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto options = make_options(place, "a1b2c3");
  CHECK(open_network(options)->correct({})->empty());  // the first one of this boot
  CHECK(open_network(options)->correct({})->empty());
  REQUIRE(shell("nft insert rule ip moored_a1b2c3 guard accept").status == 0);
  REQUIRE(shell("ip route del 10.210.0.0/16").status == 0);
  const auto network = open_network(options);
  CHECK(fields(*network->correct({})) == "route rule");
  CHECK(network->correct({})->empty());
}

TEST_CASE("a link of ours without a pod is taken away", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto network = open_network(make_options(place, "a1b2c3"));
  REQUIRE(shell("ip link add ma1b2c3deadbeef type veth peer name other0").status == 0);
  CHECK(fields(*network->correct({})) == "");  // it might be a pod's on its way out
  CHECK(fields(*network->correct({})) == "link");
  CHECK(shell("ip link show ma1b2c3deadbeef").status != 0);
}

TEST_CASE("a pod cannot send as another or reach the node's loopback", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  auto options = make_options(place, "a1b2c3");
  options.refused_ports = {6446};
  const auto network = open_network(options);
  const auto thief = make_pod(*network, "uid-thief");
  const auto victim = make_pod(*network, "uid-victim");
  const NamedServer server(victim.namespace_path, 53, "heard", true);
  const NamedServer api({}, 6446, "api");
  const NamedServer open({}, 8080, "open");
  const auto inside = "nsenter --net=" + thief.namespace_path + " ";

  SECTION("spoofed sender") {
    // Strict reverse path filtering alone would do; the guard must hold without it.
    shell("for f in /proc/sys/net/ipv4/conf/ma1b2c3*/rp_filter; do echo 0 > $f; done");
    REQUIRE(shell(inside + "ip addr add 10.209.0.99/32 dev eth0").status == 0);
    REQUIRE(shell(inside + "ip route replace default via 169.254.1.1 src 10.209.0.99").status == 0);
    auto fd = test::dial(thief.namespace_path, victim.address, 53, true);
    REQUIRE(fd);
    CHECK_FALSE(test::ask(fd->get()));
    REQUIRE(shell(inside + "ip route replace default via 169.254.1.1").status == 0);
    fd = test::dial(thief.namespace_path, victim.address, 53, true);
    REQUIRE(fd);
    CHECK(test::ask(fd->get()).value_or("-") == "heard");
  }
  SECTION("the node's loopback") {
    shell("for f in /proc/sys/net/ipv4/conf/ma1b2c3*/route_localnet; do echo 1 > $f; done");
    REQUIRE(shell(inside + "sh -c 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet;"
                           " ip addr del 127.0.0.1/8 dev lo; ip rule add pref 0 lookup 100;"
                           " ip route add 127.0.0.0/8 via 169.254.1.1 dev eth0 table 100'")
                .status == 0);
    CHECK_FALSE(ask_once(thief.namespace_path, "127.0.0.1", 8080));
  }
  SECTION("a refused port of the node") {
    const auto refused = ask_once(thief.namespace_path, network->node_address(), 6446);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "connect: Connection refused");
    CHECK(ask_once(thief.namespace_path, network->node_address(), 8080).value_or("-") == "open");
    CHECK(ask_once({}, network->node_address(), 6446).value_or("-") == "api");
  }
}

TEST_CASE("pods reach the outside under the node's address, and forwarding is put back",
          "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto pin = place.directory() + "/outside";
  REQUIRE(net::make_namespace(pin, [] { return Status(); }));
  REQUIRE(shell("ip link add up0 type veth peer name out0 && ip link set out0 netns " + pin +
                " && ip link set up0 up && ip addr add 192.0.2.1/24 dev up0"
                " && ip route add default via 192.0.2.2 && nsenter --net=" +
                pin + " sh -c 'ip link set out0 up && ip addr add 192.0.2.2/24 dev out0'")
              .status == 0);
  const NamedServer outside(pin, 80, "outside");
  CHECK(shell("cat /proc/sys/net/ipv4/conf/up0/forwarding").out == "0\n");

  auto first = open_network(make_options(place, "a1b2c3"));
  CHECK(shell("cat /proc/sys/net/ipv4/conf/up0/forwarding").out == "1\n");
  // The outside has no way back to a pod's own address: an answer means the node's was used.
  const auto pod = make_pod(*first, "uid-one");
  CHECK(ask_once(pod.namespace_path, "192.0.2.2", 80).value_or("-") == "outside");
  auto second = open_network(make_options(place, "d4e5f6", "10.219.0.0/16", "10.220.0.0/16"));
  // Switched off by somebody: told and put back by whichever looks first.
  shell("echo 0 > /proc/sys/net/ipv4/conf/up0/forwarding");
  CHECK(fields(*second->correct({})) == "forwarding");
  CHECK(first->remove_all());
  CHECK(shell("cat /proc/sys/net/ipv4/conf/up0/forwarding").out == "1\n");
  CHECK(second->remove_all());
  CHECK(shell("cat /proc/sys/net/ipv4/conf/up0/forwarding").out == "0\n");
  CHECK(shell("nft list tables").out.empty());
  CHECK(net::remove_pin(pin));
}

TEST_CASE("two instances live side by side and keep their ranges apart", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  const auto first = open_network(make_options(place, "a1b2c3"));
  static const SystemClock clock;
  const auto clash = RoutedVethNetwork::open(make_options(place, "d4e5f6"), clock);
  REQUIRE_FALSE(clash);
  CHECK(clash.error().reason == "RangeInUse");
  const auto second = open_network(make_options(place, "d4e5f6", "10.219.0.0/16", "10.220.0.0/16"));
  const auto one = make_pod(*first, "uid-one");
  const auto two = make_pod(*second, "uid-one");
  const NamedServer server(two.namespace_path, 80, "two");
  CHECK(ask_once(one.namespace_path, two.address, 80).value_or("-") == "two");
  CHECK(first->correct({})->empty());
  CHECK(second->correct({})->empty());
  CHECK(first->remove_all());
  CHECK(ask_once({}, two.address, 80).value_or("-") == "two");
  CHECK(second->correct({})->empty());
}

TEST_CASE("a range that a route of the machine uses is refused", "[network]") {
  REQUIRE_ROOT();
  const OwnNamespace place;
  REQUIRE(shell("ip link add up0 type veth peer name out0 && ip link set up0 up && "
                "ip addr add 10.209.3.1/24 dev up0 && ip link set out0 up")
              .status == 0);
  static const SystemClock clock;
  const auto clash = RoutedVethNetwork::open(make_options(place, "a1b2c3"), clock);
  REQUIRE_FALSE(clash);
  CHECK(clash.error().reason == "RangeInUse");
  CHECK(shell("nft list tables").out.empty());
}
