#include "net/pod/routed_veth_network.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>
#include <thread>

#include "net/link/conntrack.hpp"
#include "net/link/namespaces.hpp"
#include "net/link/network_events.hpp"
#include "net/link/packet_rules.hpp"
#include "net/pod/address_pool.hpp"
#include "net/pod/node_wiring.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::net {
namespace {

bool is_instance(const std::string& text) {
  return text.size() == 6 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

constexpr const char* kRulesFile = "/net.rules";  // below the run directory
constexpr int kRuleTries = 3;
constexpr std::int64_t kMaxAddressBytes = std::int64_t{16} << 20U;
// How long the last links may take to go by themselves: 2 s in all.
constexpr int kMaxLinkWaits = 200;
constexpr std::chrono::milliseconds kLinkWait{10};

// What changes under the lock.
struct Inner {
  RouteSocket host;
  AddressPool pool;
  std::string listing;                // our table as it looked after we had put it in place
  std::set<std::string> stray_links;  // seen once without an owner
  std::vector<NetworkDrift> earlier;  // found at the start, told with the first look
};

}  // namespace

class RoutedVethNetwork::State {
 public:
  State(PodNetworkOptions given, const Clock& time, std::unique_ptr<PacketRules> packet_rules,
        RouteSocket host, AddressPool pool)
      : options(std::move(given)),
        clock(time),
        rules(std::move(packet_rules)),
        inner(Inner{std::move(host), std::move(pool), {}, {}, {}}) {}

  std::string pin(const std::string& uid) const { return pin_directory() + '/' + uid; }
  std::string pin_directory() const { return options.run_directory + "/net"; }
  std::string address_file() const { return options.state_directory + "/network/addresses"; }
  std::string table() const { return pod_table(options.instance); }
  NodeRuleOptions rule_options() const {
    return {options.instance, options.pods, options.services, options.refused_ports};
  }
  PodWiring wiring(const std::string& uid, const Allocation& allocation, const Inner& in) const {
    return {pin(uid), allocation.link, allocation.address, in.pool.node_address(), mtu_bytes};
  }
  Status save(const Inner& in) const;

  Status prepare(Inner& in);
  Status adopt_pins(Inner& in);
  Status put_rules(Inner& in);
  // repair: what differs is put right; else it is only told.
  Status correct_node(Inner& in, bool repair, std::vector<NetworkDrift>& drift);
  Status correct_rules(Inner& in, bool repair, std::vector<NetworkDrift>& drift);
  // looked: what the node had at some moment of the same look.
  Status correct_pod(Inner& in, const std::string& uid, bool repair, const HostTables& looked,
                     std::vector<NetworkDrift>& drift);
  Status correct_strays(Inner& in, bool repair, std::vector<NetworkDrift>& drift);
  bool changed_while_away(const Inner& in);
  Status remove_pod(Inner& in, const std::string& uid);
  Status remove_links(Inner& in);
  Status remove_node(Inner& in);

  const PodNetworkOptions options;
  const Clock& clock;
  const std::unique_ptr<PacketRules> rules;
  KernelFlowTable flows;
  bool told_flows = false;
  int mtu_bytes = 1500;
  std::unique_ptr<NetworkEvents> events;  // none: changes are found by the sweep
  Guarded<Inner> inner;
};

namespace {

// Reads the address file; none means that no pod was ever given an address. A damaged one is set
// aside under a name with the date: what pods have is in the kernel as well.
Result<AddressPool> read_pool(const PodNetworkOptions& options, const Clock& clock) {
  const auto prefix = link_prefix(options.instance);
  const auto path = options.state_directory + "/network/addresses";
  const auto text = read_file(path, kMaxAddressBytes);
  if (!text && text.error().code == Code::not_found) return AddressPool(options.pods, prefix);
  // Without a descriptor it cannot be read either, and is as good as it was.
  struct ::stat found {};
  const bool too_long = ::stat(path.c_str(), &found) == 0 && found.st_size > kMaxAddressBytes;
  if (!text && !too_long) return Unexpected(text.error());
  auto pool = text ? AddressPool::parse(*text, options.pods, prefix)
                   : Result<AddressPool>(Unexpected(text.error()));
  if (pool) return pool;
  std::string date = format_time(clock.now().wall);
  std::erase_if(date, [](char letter) { return letter == '-' || letter == ':'; });
  const auto aside = path + ".lost-" + date;
  if (::rename(path.c_str(), aside.c_str()) != 0) return Unexpected(system_error(path, errno));
  log(LogLevel::error, "the address file is damaged; addresses are read off the running pods",
      {{"error", pool.error().text()}, {"setAside", aside}});
  return AddressPool(options.pods, prefix);
}

// The host's end of a pod's pair, by the index that the pod's end knows; empty: there is none.
std::string find_host_link(const HostTables& host, const InsideTables& inside) {
  if (!inside.link || inside.link->peer_index == 0) return {};
  for (const auto& [name, link] : host.links) {
    if (link.index == inside.link->peer_index) return name;
  }
  return {};
}

// What a pod has, as its own namespace says; nothing when it is not whole.
std::optional<Allocation> read_allocation(const HostTables& host, const InsideTables& inside,
                                          Ipv4Prefix pods) {
  const auto link = find_host_link(host, inside);
  if (link.empty()) return std::nullopt;
  for (const auto& row : inside.addresses) {
    const Ipv4 address = row.address.address;
    const bool ours = row.index == inside.link->index && pods.first() < address &&
                      address < pods.last();
    if (ours) return Allocation{address, link};
  }
  return std::nullopt;
}

Result<int> find_loopback(RouteSocket& host) {
  MOORED_TRY(const auto link, host.read_link("lo"));
  return link.index;
}

}  // namespace

// ---- the node ----------------------------------------------------------------------------------

// Somebody may take the table away between the two: it is put there again, a few times.
Status RoutedVethNetwork::State::put_rules(Inner& in) {
  Result<std::string> listing = std::string();
  for (int tries = 0; tries < kRuleTries; ++tries) {
    MOORED_CHECK(rules->apply(render_node_rules(rule_options())));
    listing = rules->read_table(table());
    if (listing || listing.error().code != Code::not_found) break;
  }
  MOORED_TRY(in.listing, std::move(listing));
  return write_file(options.run_directory + kRulesFile, in.listing, true);
}

// Rules that an earlier daemon of this boot put in place, and somebody changed since. The run
// directory does not outlive the boot, and rules do not either.
bool RoutedVethNetwork::State::changed_while_away(const Inner&) {
  const auto left = read_file(options.run_directory + kRulesFile);
  if (!left) return false;
  const auto present = rules->read_table(table());
  return !present || *present != *left;
}

Status RoutedVethNetwork::State::prepare(Inner& in) {
  MOORED_CHECK(make_directories(pin_directory()));
  MOORED_CHECK(make_directories(options.state_directory + "/network"));
  MOORED_CHECK(adopt_pins(in));
  MOORED_TRY(const auto opened, claim_node(rule_options(), in.host, *rules));
  // The first daemon of a boot finds nothing, which is as it should be.
  const bool again = path_exists(options.run_directory + kRulesFile);
  const bool changed = changed_while_away(in);
  MOORED_CHECK(correct_node(in, true, in.earlier));
  if (!again) in.earlier.clear();
  MOORED_CHECK(put_rules(in));
  if (changed) {
    in.earlier.push_back({{}, "rule", "table ip " + table(), "changed while no daemon ran", {}});
  }
  MOORED_TRY(const auto tables, read_host_tables(in.host));
  mtu_bytes = choose_mtu(tables);
  return {};
}

// Pods whose namespace is pinned and whom the address file does not know, because it was lost or is
// an old copy: they keep what they have, and nobody else is given it.
Status RoutedVethNetwork::State::adopt_pins(Inner& in) {
  MOORED_TRY(const auto pins, list_directory(pin_directory()));
  std::optional<HostTables> host;
  bool adopted = false;
  for (const auto& uid : pins) {
    if (!is_pod_uid(uid) || in.pool.find(uid) != nullptr) continue;
    if (!host) {
      MOORED_TRY(host, read_host_tables(in.host));
    }
    const auto inside = read_inside_tables(pin(uid));
    if (!inside && inside.error().code == Code::exhausted) return Unexpected(inside.error());
    if (!inside) continue;  // a crash in the middle of its making: the next create completes it
    const auto found = read_allocation(*host, *inside, options.pods);
    if (!found || in.pool.is_used(found->address)) continue;
    in.pool.adopt(uid, *found);
    adopted = true;
    log(LogLevel::warning, "an address was read off a running pod",
        {{"uid", uid}, {"address", format(found->address)}});
  }
  return adopted ? save(in) : Status();
}

// Own address and routes; whatever is missing is put in place and told.
Status RoutedVethNetwork::State::correct_node(Inner& in, bool repair,
                                              std::vector<NetworkDrift>& drift) {
  MOORED_TRY(const int loopback, find_loopback(in.host));
  if (repair) MOORED_CHECK(in.host.set_up(loopback));
  const auto address = make_node_address(rule_options(), loopback);
  MOORED_TRY(const auto addresses, in.host.read_addresses());
  if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
    if (repair) MOORED_CHECK(in.host.put_address(address));
    drift.push_back({{}, "address", format(address.address) + " on lo", "missing", {}, repair});
  }
  MOORED_TRY(const auto routes, in.host.read_routes());
  for (const auto& route : make_node_routes(rule_options(), loopback)) {
    if (std::find(routes.begin(), routes.end(), route) != routes.end()) continue;
    if (repair) MOORED_CHECK(in.host.put_route(route));
    drift.push_back({{}, "route", format(route.destination), "missing", {}, repair});
  }
  return {};
}

Status RoutedVethNetwork::State::correct_rules(Inner& in, bool repair,
                                               std::vector<NetworkDrift>& drift) {
  const auto listing = rules->read_table(table());
  if (!listing && listing.error().code != Code::not_found) return Unexpected(listing.error());
  if (!listing || *listing != in.listing) {
    drift.push_back({{},
                     "rule",
                     "table ip " + table() + " sha256:" + sha256_hex(in.listing),
                     listing ? "sha256:" + sha256_hex(*listing) : "missing",
                     {},
                     repair});
    if (repair) MOORED_CHECK(put_rules(in));
  }
  if (!repair) return {};
  MOORED_TRY(const auto opened, claim_node(rule_options(), in.host, *rules));
  for (const auto& link : opened) {
    drift.push_back({{}, "forwarding", link + " on", "off", {}});
  }
  return {};
}

// The kernel takes pairs away a moment after their namespaces: waits for that, and deletes what is
// still there because a process lives on in a pod's namespace.
Status RoutedVethNetwork::State::remove_links(Inner& in) {
  const auto prefix = link_prefix(options.instance);
  for (int i = 0; i < kMaxLinkWaits; ++i) {
    MOORED_TRY(const auto links, in.host.read_links());
    bool gone = true;
    for (const auto& link : links) {
      if (link.name.rfind(prefix, 0) != 0) continue;
      gone = false;
      if (i + 1 == kMaxLinkWaits) MOORED_CHECK(in.host.delete_link(link.index));
    }
    if (gone) break;
    std::this_thread::sleep_for(kLinkWait);
  }
  return {};
}

Status RoutedVethNetwork::State::remove_node(Inner& in) {
  MOORED_CHECK(remove_links(in));
  MOORED_CHECK(rules->apply("add table ip " + table() + "\ndelete table ip " + table() + '\n'));
  MOORED_TRY(const int loopback, find_loopback(in.host));
  for (const auto& route : make_node_routes(rule_options(), loopback)) {
    MOORED_CHECK(in.host.delete_route(route));
  }
  MOORED_CHECK(in.host.delete_address(make_node_address(rule_options(), loopback)));
  MOORED_CHECK(release_node(options.instance, *rules));
  MOORED_CHECK(remove_tree(pin_directory()));
  MOORED_CHECK(remove_tree(options.run_directory + kRulesFile));
  return remove_tree(options.state_directory + "/network");
}

// Whole after any death of the daemon, and not synced: the namespaces that the addresses are for do
// not outlive the machine either, and a sync for each pod would hold up all that start beside it.
Status RoutedVethNetwork::State::save(const Inner& in) const {
  const std::string path = address_file();
  const std::string fresh = path + ".new";
  MOORED_CHECK(write_file(fresh, in.pool.text(), true, 0600));
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return Unexpected(system_error("replace " + path, errno));
  }
  return {};
}

// ---- one pod -----------------------------------------------------------------------------------

Status RoutedVethNetwork::State::remove_pod(Inner& in, const std::string& uid) {
  const auto* allocation = in.pool.find(uid);
  if (allocation == nullptr) return remove_pin(pin(uid));
  MOORED_CHECK(unwire_pod(in.host, wiring(uid, *allocation, in)));
  // The next pod with this address must not get packets of old conversations. Tracking may be
  // absent from the kernel, and the minute of rest covers most of them: not worth a failure.
  const auto forgotten = flows.forget([address = allocation->address](const Flow& flow) {
    return flow.answerer == address || flow.source == address;
  });
  if (!forgotten && !told_flows) {
    told_flows = true;
    log(LogLevel::warning, "connections of removed pods cannot be forgotten",
        {{"error", forgotten.error().text()}});
  }
  in.pool.release(uid, clock.now().wall);
  return save(in);
}

Status RoutedVethNetwork::State::correct_pod(Inner& in, const std::string& uid, bool repair,
                                             const HostTables& looked,
                                             std::vector<NetworkDrift>& drift) {
  const auto* allocation = in.pool.find(uid);
  if (allocation == nullptr) return {};  // removed since the list was made
  const auto wanted = wiring(uid, *allocation, in);
  std::optional<InsideTables> inside;
  if (auto found = read_inside_tables(wanted.pin)) {
    inside = *std::move(found);
  } else if (found.error().code != Code::not_found) {
    return Unexpected(std::move(found).error());
  }
  // A namespace that lost its pin is found again by whoever knows the pod's shim, and told there.
  if (!inside || plan_repair(wanted, looked, inside).empty()) return {};
  // Pods start and end while others are looked at: only what is missing now is a fault.
  MOORED_TRY(const auto now, read_host_tables(in.host));
  const auto faults = plan_repair(wanted, now, inside);
  for (const auto& fault : faults) {
    drift.push_back({uid, fault.field, fault.desired, fault.observed, {}, repair});
  }
  return faults.empty() || !repair ? Status() : wire_pod(in.host, wanted);
}

// Links with our prefix that no pod owns. The kernel removes pairs a moment after their namespace,
// so that only what is seen twice is a stray.
Status RoutedVethNetwork::State::correct_strays(Inner& in, bool repair,
                                                std::vector<NetworkDrift>& drift) {
  std::set<std::string> owned;
  for (const auto& [uid, allocation] : in.pool.allocations())
    owned.insert(allocation.link);
  std::set<std::string> seen;
  MOORED_TRY(const auto links, in.host.read_links());
  for (const auto& link : links) {
    const bool ours = link.name.rfind(link_prefix(options.instance), 0) == 0;
    if (!ours || owned.count(link.name) != 0) continue;
    if (in.stray_links.count(link.name) == 0) {
      seen.insert(link.name);
      continue;
    }
    if (repair) MOORED_CHECK(in.host.delete_link(link.index));
    if (!repair) seen.insert(link.name);
    drift.push_back({{}, "link", "no " + link.name, "present without a pod", {}, repair});
  }
  in.stray_links = std::move(seen);
  return {};
}

// ---- the port ----------------------------------------------------------------------------------

RoutedVethNetwork::RoutedVethNetwork(std::unique_ptr<State> state) : state_(std::move(state)) {}
RoutedVethNetwork::~RoutedVethNetwork() = default;

Result<std::unique_ptr<RoutedVethNetwork>> RoutedVethNetwork::open(PodNetworkOptions options,
                                                                   const Clock& clock) {
  if (!is_instance(options.instance)) {
    return fail(Code::invalid, "an instance is six hexadecimal digits, not " + options.instance);
  }
  if (options.pods.length > 28) return fail(Code::invalid, "the range of pods is smaller than /28");
  MOORED_TRY(auto pool, read_pool(options, clock));
  MOORED_TRY(auto host, RouteSocket::open());
  MOORED_TRY(auto rules, make_remembering_packet_rules(options.nft_program));
  auto state = std::make_unique<State>(std::move(options), clock, std::move(rules),
                                       std::move(host), std::move(pool));
  MOORED_CHECK(state->inner.with([&](Inner& in) { return state->prepare(in); }));
  // After the preparation, whose own changes are no news.
  if (auto events = NetworkEvents::open(state->table())) {
    state->events = std::make_unique<NetworkEvents>(*std::move(events));
  } else {
    log(LogLevel::info, "changes of links and routes are found by the sweep only",
        {{"error", events.error().text()}});
  }
  return std::unique_ptr<RoutedVethNetwork>(new RoutedVethNetwork(std::move(state)));
}

Result<PodNetworkReport> RoutedVethNetwork::create(const std::string& uid) {
  if (!is_pod_uid(uid)) return fail(Code::invalid, "not the uid of a pod: " + uid);
  return state_->inner.with([&](Inner& in) -> Result<PodNetworkReport> {
    const bool known = in.pool.find(uid) != nullptr;
    MOORED_TRY(const auto allocation, in.pool.allocate(uid, state_->clock.now().wall));
    // Recorded before it is made: after a crash the next create or remove finds the address.
    if (!known) MOORED_CHECK(state_->save(in));
    MOORED_CHECK(wire_pod(in.host, state_->wiring(uid, allocation, in)));
    return PodNetworkReport{uid, state_->pin(uid), format(allocation.address)};
  });
}

Status RoutedVethNetwork::remove(const std::string& uid) {
  if (!is_pod_uid(uid)) return fail(Code::invalid, "not the uid of a pod: " + uid);
  return state_->inner.with([&](Inner& in) { return state_->remove_pod(in, uid); });
}

Result<std::vector<PodNetworkReport>> RoutedVethNetwork::list() {
  return state_->inner.with([&](Inner& in) -> Result<std::vector<PodNetworkReport>> {
    std::vector<PodNetworkReport> out;
    for (const auto& [uid, allocation] : in.pool.allocations()) {
      const auto path = open_namespace(state_->pin(uid)) ? state_->pin(uid) : std::string();
      out.push_back({uid, path, format(allocation.address)});
    }
    return out;
  });
}

Result<std::vector<NetworkDrift>> RoutedVethNetwork::correct(const NetworkModes& modes) {
  std::vector<NetworkDrift> drift;
  std::vector<std::string> uids;
  std::optional<HostTables> looked;
  auto status = state_->inner.with([&](Inner& in) -> Status {
    for (const auto& row : in.pool.allocations())
      uids.push_back(row.first);
    if (modes.node == DriftMode::off) return {};
    drift = std::exchange(in.earlier, {});
    const bool repair = modes.node == DriftMode::correct;
    MOORED_CHECK(state_->correct_node(in, repair, drift));
    MOORED_CHECK(state_->correct_rules(in, repair, drift));
    return state_->correct_strays(in, repair, drift);
  });
  if (!status) return Unexpected(std::move(status).error());
  // One lock for each pod, so that starts of pods do not wait for the whole look; and one pod
  // that cannot be repaired does not keep the others from it.
  for (const auto& uid : uids) {
    const auto mode = modes.of(uid);
    if (mode == DriftMode::off) continue;
    auto repaired = state_->inner.with([&](Inner& in) -> Status {
      if (!looked) {
        MOORED_TRY(looked, read_host_tables(in.host));
      }
      return state_->correct_pod(in, uid, mode == DriftMode::correct, *looked, drift);
    });
    if (!repaired) {
      drift.push_back({uid, "network", "repaired", repaired.error().text(), {}, false});
    }
  }
  return drift;
}

int RoutedVethNetwork::descriptor() const {
  return state_->events ? state_->events->descriptor() : -1;
}

std::optional<std::string> RoutedVethNetwork::take_hint() {
  return state_->events ? state_->events->take() : std::nullopt;
}

std::string RoutedVethNetwork::node_address() const {
  return state_->inner.with([](const Inner& in) { return format(in.pool.node_address()); });
}

Status RoutedVethNetwork::remove_all() {
  return state_->inner.with([&](Inner& in) -> Status {
    std::vector<std::string> uids;
    for (const auto& row : in.pool.allocations())
      uids.push_back(row.first);
    const auto pins = list_directory(state_->pin_directory());
    if (pins) uids.insert(uids.end(), pins->begin(), pins->end());
    for (const auto& uid : uids)
      MOORED_CHECK(state_->remove_pod(in, uid));
    return state_->remove_node(in);
  });
}

}  // namespace moored::net
