#include <SQLiteCpp/SQLiteCpp.h>

#include "net/link/packet_rules.hpp"
#include "net/pod/node_rules.hpp"
#include "net/proxy/rules.hpp"
#include "schema/codec/codec.hpp"
#include "schema/host/file.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"
#include "tests/invariants/readings.hpp"

namespace moored::invariants {
namespace {

// The newest revision of every object of one kind.
Result<std::vector<Object>> read_heads(SQLite::Database& database, const Kind& kind) {
  std::vector<std::string> texts;
  try {
    SQLite::Statement rows(database,
                           "SELECT revision.json FROM head JOIN revision USING (rv) "
                           "WHERE head.gvk = ? AND revision.sealed = 0 "
                           "ORDER BY head.namespace, head.name");
    rows.bind(1, kind.api_version() + "/" + std::string(kind.kind));
    while (rows.executeStep()) texts.push_back(rows.getColumn(0).getString());
  } catch (const std::exception& error) {
    return fail(Code::corrupt, std::string("read the store: ") + error.what());
  }
  std::vector<Object> out;
  for (const auto& text : texts) {
    MOORED_TRY(auto object, decode_stored_json(kind, text));
    out.push_back(std::move(object));
  }
  return out;
}

RecordedPod make_pod(const Pod& pod) {
  RecordedPod out;
  out.uid = pod.metadata.uid;
  out.name = pod.metadata.namespace_name + '/' + pod.metadata.name;
  out.phase = pod.status.phase;
  out.address = pod.status.pod_ip;
  out.host_network = pod.spec.host_network;
  out.deleting = pod.metadata.deletion_timestamp.has_value();
  if (const auto* owner = find_controller(pod.metadata)) out.owner_uid = owner->uid;
  return out;
}

// What the rules would be if they were made anew from what is recorded.
Result<std::map<std::string, std::string>> read_wanted_rules(const Places& places,
                                                             const net::ServiceTable& services) {
  const auto rules = net::make_packet_rules();
  const auto shared = rules->read_table(std::string(net::kSharedTable));
  if (!shared) return std::map<std::string, std::string>{};
  const auto state = net::parse_shared(*shared);
  const auto claim = state.claims.find(places.instance);
  if (claim == state.claims.end()) return std::map<std::string, std::string>{};
  const net::RuleOptions options{places.instance, claim->second.services};
  MOORED_TRY(const auto listing,
             rules->read_wanted(net::render_rules(services, options),
                                net::service_table_name(places.instance)));
  return net::split_listing(listing);
}

}  // namespace

Result<Places> complete(Places places) {
  if (places.instance.empty()) {
    MOORED_TRY(places.instance, read_file(places.state_dir + "/instance", 64));
    while (!places.instance.empty() && places.instance.back() == '\n') places.instance.pop_back();
  }
  if (places.cgroup_root.empty()) {  // a daemon that was there has written its choice down
    places.cgroup_root = read_file(places.run_dir + "/cgroup", 4096)
                             .value_or("/moored-" + places.instance + "\n");
    while (places.cgroup_root.ends_with('\n')) places.cgroup_root.pop_back();
  }
  return places;
}

Result<Recorded> read_recorded(const Places& places) {
  Recorded out;
  const auto path = places.state_dir + "/store/moored.db";
  if (!path_exists(path)) return fail(Code::not_found, path + " does not exist");
  try {
    SQLite::Database database(path, SQLite::OPEN_READONLY, 5000);
    // One transaction: every kind as of the same resource version.
    SQLite::Transaction reading(database);
    MOORED_TRY(const auto pods, read_heads(database, kind_of<Pod>()));
    MOORED_TRY(const auto services, read_heads(database, kind_of<Service>()));
    MOORED_TRY(const auto slices, read_heads(database, kind_of<EndpointSlice>()));
    MOORED_TRY(const auto sets, read_heads(database, kind_of<ReplicaSet>()));
    for (const auto& object : pods) out.pods.push_back(make_pod(object.as<Pod>()));
    for (const auto& object : sets) {
      const auto& set = object.as<ReplicaSet>();
      out.replicas[set.metadata.uid] = set.spec.replicas.value_or(1);
      out.set_names[set.metadata.uid] = set.metadata.namespace_name + '/' + set.metadata.name;
    }
    MOORED_TRY(out.rule_blocks,
               read_wanted_rules(places, net::plan_services(services, slices, pods)));
  } catch (const std::exception& error) {
    return fail(Code::unavailable, std::string("open the store: ") + error.what());
  }
  return out;
}

}  // namespace moored::invariants
