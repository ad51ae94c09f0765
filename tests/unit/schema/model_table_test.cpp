// What kubectl get prints: durations, and the row of each kind.
#include <catch2/catch.hpp>

#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kYear = 365 * kDay;

Duration seconds(std::int64_t s) { return std::chrono::seconds(s); }
Time at(std::int64_t s) { return Time(seconds(s)); }

// Cells as text, so that a row reads like a line of kubectl.
std::vector<std::string> row_of_object(const Object& object, std::int64_t now = 1000) {
  std::vector<std::string> out;
  for (const auto& cell : object.kind().table->cells(object, at(now))) {
    switch (cell.type) {
      case Cell::Type::text: out.push_back(cell.text); break;
      case Cell::Type::integer: out.push_back("#" + std::to_string(cell.number)); break;
      case Cell::Type::boolean: out.push_back(cell.number != 0 ? "yes" : "no"); break;
    }
  }
  REQUIRE(out.size() == object.kind().table->columns.size());
  return out;
}

using Row = std::vector<std::string>;

template <class T>
T named(std::string name = "a") {
  T out;
  out.metadata.name = std::move(name);
  out.metadata.namespace_name = "shop";
  out.metadata.creation_timestamp = at(940);
  return out;
}

TEST_CASE("durations read as kubectl prints them") {
  const auto row = GENERATE(values<std::pair<std::int64_t, const char*>>({
      {-100, "<invalid>"}, {-2, "<invalid>"}, {-1, "0s"}, {0, "0s"}, {1, "1s"}, {119, "119s"},
      {120, "2m"}, {121, "2m1s"}, {179, "2m59s"}, {599, "9m59s"}, {600, "10m"}, {659, "10m"},
      {3 * kHour - 1, "179m"}, {3 * kHour, "3h"}, {3 * kHour + 59, "3h"},
      {3 * kHour + kMinute, "3h1m"}, {8 * kHour - 1, "7h59m"}, {8 * kHour, "8h"},
      {8 * kHour + kMinute, "8h"}, {48 * kHour - 1, "47h"}, {2 * kDay, "2d"},
      {2 * kDay + kHour, "2d1h"}, {8 * kDay - 1, "7d23h"}, {8 * kDay, "8d"},
      {8 * kDay + kHour, "8d"}, {2 * kYear - 1, "729d"}, {2 * kYear, "2y"},
      {2 * kYear + kDay, "2y1d"}, {8 * kYear - 1, "7y364d"}, {8 * kYear, "8y"},
      {8 * kYear + kDay, "8y"}, {100 * kYear, "100y"},
  }));
  CHECK(human_duration(seconds(row.first)) == row.second);
}

TEST_CASE("parts of a second do not count, and a missing time is unknown") {
  CHECK(human_duration(std::chrono::milliseconds(1999)) == "1s");
  CHECK(human_duration(std::chrono::milliseconds(-1)) == "0s");
  CHECK(age_text(std::nullopt, at(5)) == "<unknown>");
  CHECK(age_text(at(1), at(5)) == "4s");
}

TEST_CASE("selectors are worded as kubectl words them") {
  LabelSelector selector;
  CHECK(selector_text(selector) == "<none>");
  selector.match_labels = {{"b", "2"}, {"a", "1"}};
  CHECK(selector_text(selector) == "a=1,b=2");
  selector.match_expressions = {{"x", "In", {"1", "2"}}, {"y", "NotIn", {"3"}},
                                {"z", "Exists", {}}, {"w", "DoesNotExist", {}}};
  CHECK(selector_text(selector) == "a=1,b=2,x in (1,2),y notin (3),z,!w");
  selector.match_labels.clear();
  CHECK(selector_text(selector) == "x in (1,2),y notin (3),z,!w");
}

TEST_CASE("long lists are cut after three") {
  CHECK(first_three({}).empty());
  CHECK(first_three({"a", "b", "c"}) == "a,b,c");
  CHECK(first_three({"a", "b", "c", "d", "e"}) == "a,b,c + 2 more...");
}

TEST_CASE("columns are those of a recent server, with the wide ones marked") {
  const auto words = [](const Kind& kind) {
    std::string out;
    for (const auto& column : kind.table->columns) {
      if (!out.empty()) out += ", ";
      out += (column.priority == 1 ? "|" : "") + std::string(column.name);
      if (column.type == "integer") out += " (i)";
    }
    return out;
  };
  CHECK(words(kind_of<Pod>()) ==
        "Name, Ready, Status, Restarts, Age, |IP, |Node, |Nominated Node, |Readiness Gates");
  CHECK(words(kind_of<Deployment>()) ==
        "Name, Ready, Up-to-date, Available, Age, |Containers, |Images, |Selector");
  CHECK(words(kind_of<ReplicaSet>()) ==
        "Name, Desired (i), Current (i), Ready (i), Age, |Containers, |Images, |Selector");
  CHECK(words(kind_of<Service>()) ==
        "Name, Type, Cluster-IP, External-IP, Port(s), Age, |Selector");
  CHECK(words(kind_of<Endpoints>()) == "Name, Endpoints, Age");
  CHECK(words(kind_of<EndpointSlice>()) == "Name, AddressType, Ports, Endpoints, Age");
  CHECK(words(kind_of<Node>()) ==
        "Name, Status, Roles, Age, Version, |Internal-IP, |External-IP, |OS-Image, "
        "|Kernel-Version, |Container-Runtime");
  CHECK(words(kind_of<Event>()) ==
        "Last Seen, Type, Reason, Object, |Subobject, |Source, Message, |First Seen, |Count, "
        "|Name");
  CHECK(words(kind_of<Namespace>()) == "Name, Status, Age");
  CHECK(words(kind_of<ConfigMap>()) == "Name, Data, Age");
  CHECK(words(kind_of<Secret>()) == "Name, Type, Data, Age");
  CHECK(words(kind_of<ServiceAccount>()) == "Name, Secrets, Age");
  CHECK(words(kind_of<Lease>()) == "Name, Holder, Age");
}

PodTemplateSpec two_containers() {
  PodTemplateSpec out;
  out.spec.containers.resize(2);
  out.spec.containers[0].name = "web";
  out.spec.containers[0].image = "a:1";
  out.spec.containers[1].name = "log";
  out.spec.containers[1].image = "b:2";
  return out;
}

TEST_CASE("rows of workloads") {
  auto deployment = named<Deployment>("web");
  deployment.spec.replicas = 3;
  deployment.spec.selector = LabelSelector{{{"app", "web"}}, {}};
  deployment.spec.pod_template = two_containers();
  deployment.status.ready_replicas = 2;
  deployment.status.updated_replicas = 1;
  deployment.status.available_replicas = 2;
  CHECK(row_of_object(make_object(deployment)) ==
        Row{"web", "2/3", "1", "2", "60s", "web,log", "a:1,b:2", "app=web"});
  auto set = named<ReplicaSet>("web-1");
  set.spec.replicas = 3;
  set.spec.pod_template = two_containers();
  set.status.replicas = 2;
  set.status.ready_replicas = 1;
  CHECK(row_of_object(make_object(set)) ==
        Row{"web-1", "#3", "#2", "#1", "60s", "web,log", "a:1,b:2", "<none>"});
}

TEST_CASE("rows of Services and what stands behind them") {
  auto service = named<Service>("web");
  service.spec.type = "ClusterIP";
  CHECK(row_of_object(make_object(service)) ==
        Row{"web", "ClusterIP", "<none>", "<none>", "<none>", "60s", "<none>"});
  service.spec.cluster_ips = {"10.210.0.9"};
  service.spec.selector = {{"app", "web"}};
  service.spec.ports.resize(2);
  service.spec.ports[0].port = 80;
  service.spec.ports[1].port = 53;
  service.spec.ports[1].protocol = "UDP";
  service.spec.ports[1].node_port = 30053;
  CHECK(row_of_object(make_object(service)) ==
        Row{"web", "ClusterIP", "10.210.0.9", "<none>", "80/TCP,53:30053/UDP", "60s", "app=web"});
  service.spec.cluster_ips = {"None"};
  CHECK(row_of_object(make_object(service))[2] == "None");

  auto endpoints = named<Endpoints>("web");
  CHECK(row_of_object(make_object(endpoints))[1] == "<none>");
  endpoints.subsets.resize(1);
  endpoints.subsets[0].ports.resize(2);
  endpoints.subsets[0].ports[0].port = 80;
  endpoints.subsets[0].ports[1].port = 81;
  for (const auto* ip : {"10.0.0.1", "10.0.0.2"}) {
    endpoints.subsets[0].addresses.emplace_back().ip = ip;
  }
  endpoints.subsets[0].not_ready_addresses.emplace_back().ip = "10.0.0.3";
  CHECK(row_of_object(make_object(endpoints))[1] ==
        "10.0.0.1:80,10.0.0.1:81,10.0.0.2:80 + 1 more...");

  auto slice = named<EndpointSlice>("web-x");
  slice.address_type = "IPv4";
  CHECK(row_of_object(make_object(slice)) == Row{"web-x", "IPv4", "<unset>", "<unset>", "60s"});
  slice.ports.resize(2);
  slice.ports[1].port = 80;
  slice.endpoints.resize(2);
  slice.endpoints[0].addresses = {"10.0.0.1"};
  slice.endpoints[1].addresses = {"10.0.0.2"};
  CHECK(row_of_object(make_object(slice)) ==
        Row{"web-x", "IPv4", "*,80", "10.0.0.1,10.0.0.2", "60s"});
}

TEST_CASE("rows of the small kinds") {
  auto space = named<Namespace>("shop");
  space.status.phase = "Active";
  CHECK(row_of_object(make_object(space)) == Row{"shop", "Active", "60s"});
  auto map = named<ConfigMap>();
  map.data = {{"a", ""}, {"b", ""}};
  map.binary_data = {{"c", ""}};
  CHECK(row_of_object(make_object(map)) == Row{"a", "3", "60s"});
  auto secret = named<Secret>();
  secret.type = "Opaque";
  secret.data = {{"a", "hidden"}};
  CHECK(row_of_object(make_object(secret)) == Row{"a", "Opaque", "1", "60s"});
  auto account = named<ServiceAccount>();
  account.secrets.resize(2);
  CHECK(row_of_object(make_object(account)) == Row{"a", "2", "60s"});
  auto lease = named<Lease>();
  lease.spec.holder_identity = "node-1";
  lease.metadata.creation_timestamp.reset();
  CHECK(row_of_object(make_object(lease)) == Row{"a", "node-1", "<unknown>"});
}

TEST_CASE("the row of a node") {
  auto node = named<Node>("n1");
  node.metadata.namespace_name.clear();
  CHECK(row_of_object(make_object(node)) ==
        Row{"n1", "Unknown", "<none>", "60s", "", "<none>", "<none>", "<unknown>", "<unknown>",
            "<unknown>"});
  Condition ready;
  ready.type = "Ready";
  ready.status = "True";
  node.status.conditions = {ready};
  node.metadata.labels = {{"node-role.kubernetes.io/worker", ""},
                          {"node-role.kubernetes.io/control-plane", ""},
                          {"node-role.kubernetes.io/", ""},
                          {"kubernetes.io/role", "edge"},
                          {"other", "x"}};
  node.status.addresses = {{"InternalIP", "192.0.2.1"}, {"InternalIP", "192.0.2.2"}};
  node.status.node_info.kubelet_version = "v1.32.0";
  node.status.node_info.os_image = "Debian";
  node.status.node_info.kernel_version = "6.1";
  node.status.node_info.container_runtime_version = "moored://0.1.0";
  CHECK(row_of_object(make_object(node)) ==
        Row{"n1", "Ready", "control-plane,edge,worker", "60s", "v1.32.0", "192.0.2.1", "<none>",
            "Debian", "6.1", "moored://0.1.0"});
  node.spec.unschedulable = true;
  node.status.conditions[0].status = "Unknown";
  CHECK(row_of_object(make_object(node))[1] == "NotReady,SchedulingDisabled");
}

TEST_CASE("the row of an event") {
  auto event = named<Event>("web.1");
  event.involved_object.kind = "ReplicaSet";
  event.involved_object.name = "web";
  event.involved_object.field_path = "spec";
  event.type = "Normal";
  event.reason = "Scaled";
  event.message = "scaled";
  event.event_time = at(990);
  event.reporting_component = "moored-agent";
  CHECK(row_of_object(make_object(event)) ==
        Row{"10s", "Normal", "Scaled", "replicaset/web", "spec", "moored-agent", "scaled", "10s",
            "#1", "web.1"});
  event.first_timestamp = at(900);
  event.last_timestamp = at(995);
  event.count = 4;
  event.source = {"scheduler", "n1"};
  const auto row = row_of_object(make_object(event));
  CHECK(row[0] == "5s");
  CHECK(row[5] == "scheduler, n1");
  CHECK(row[7] == "100s");
  CHECK(row[8] == "#4");
}

TEST_CASE("the rows of sources and units") {
  auto source = named<GitRepository>();
  source.spec.url = "https://git.test/a";
  CHECK(row_of_object(make_object(source)) ==
        Row{"a", "https://git.test/a", "60s", "Unknown", ""});
  Condition ready;
  ready.type = "Ready";
  ready.status = "False";
  ready.message = "the fetch failed";
  source.status.conditions = {ready};
  CHECK(row_of_object(make_object(source))[3] == "False");
  auto unit = named<Kustomization>();
  unit.status.conditions = {ready};
  CHECK(row_of_object(make_object(unit)) == Row{"a", "60s", "False", "the fetch failed"});
}

}  // namespace
}  // namespace moored
