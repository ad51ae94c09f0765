// Environment, arguments, users, capabilities and limits of a container, as tables.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "runtime/agent/container_plan.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/model/core.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::agent;
using namespace moored::test;

namespace {

FieldContext make_context(const Pod& pod) {
  return {pod, "10.209.0.2", "192.0.2.1", {4000}, {8LL << 30}};
}

std::string value_of(const Environment& environment, const std::string& name) {
  const auto values = environment.by_name();
  const auto found = values.find(name);
  return found == values.end() ? "(absent)" : found->second;
}

EnvVar make_variable(const std::string& name, const std::string& value) {
  EnvVar variable;
  variable.name = name;
  variable.value = value;
  return variable;
}

Object make_config(const std::string& name, std::map<std::string, std::string> data) {
  ConfigMap map;
  map.metadata.name = name;
  map.metadata.namespace_name = "default";
  map.data = std::move(data);
  return make_object(std::move(map));
}

Object make_secret(const std::string& name, std::map<std::string, std::string> data) {
  Secret secret;
  secret.metadata.name = name;
  secret.metadata.namespace_name = "default";
  secret.data = std::move(data);
  return make_object(std::move(secret));
}

}  // namespace

TEST_CASE("B33 references to variables", "[agent][env]") {
  const std::map<std::string, std::string> known = {{"A", "1"}, {"B", "two"}, {"EMPTY", ""}};
  struct Row {
    const char* text;
    const char* expected;
  };
  const Row rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"$(A)", "1"},
      {"x$(A)y$(B)z", "x1ytwoz"},
      {"$(UNKNOWN)", "$(UNKNOWN)"},
      {"$$(A)", "$(A)"},
      {"$$$(A)", "$1"},
      {"$$$$(A)", "$$(A)"},
      {"$A", "$A"},
      {"$", "$"},
      {"$(A", "$(A"},
      {"$()", "$()"},
      {"[$(EMPTY)]", "[]"},
      {"cost: 5$", "cost: 5$"},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    CHECK(expand(row.text, known) == row.expected);
  }
}

TEST_CASE("B33 B38 the order of the environment", "[agent][env]") {
  FakeStore store;
  store.put(make_config("cfg", {{"KEY", "from-map"}, {"1bad name", "x"}, {"OTHER", "o"}}));
  store.put(make_secret("sec", {{"PASS", "s3cret"}}));
  Pod pod = make_pod("app");
  Container& container = pod.spec.containers[0];
  EnvFromSource from_map;
  from_map.config_map_ref = EnvFromReference{"cfg", false};
  EnvFromSource from_secret;
  from_secret.prefix = "P_";
  from_secret.secret_ref = EnvFromReference{"sec", false};
  container.env_from = {from_map, from_secret};
  container.env = {make_variable("FIRST", "$(KEY)-$(LATER)-$$(KEY)"), make_variable("LATER", "l"),
                   make_variable("OTHER", "overridden"), make_variable("P", "$(P_PASS)")};
  const auto environment = make_environment(make_context(pod), container, *store.view());
  REQUIRE(environment);
  CHECK(value_of(*environment, "FIRST") == "from-map-$(LATER)-$(KEY)");
  CHECK(value_of(*environment, "OTHER") == "overridden");
  CHECK(value_of(*environment, "P") == "s3cret");
  CHECK(environment->invalid_names == std::vector<std::string>{"1bad name"});
}

TEST_CASE("B38 references that lead nowhere", "[agent][env]") {
  FakeStore store;
  store.put(make_config("cfg", {{"a", "1"}}));
  Pod pod = make_pod("app");
  Container& container = pod.spec.containers[0];
  const auto from_map = [](const std::string& name, const std::string& key, bool optional) {
    EnvVar variable;
    variable.name = "V";
    variable.value_from = EnvVarSource{};
    variable.value_from->config_map_key_ref = KeySelector{name, key, optional};
    return variable;
  };
  const auto from_secret = [](const std::string& name, bool optional) {
    EnvVar variable;
    variable.name = "V";
    variable.value_from = EnvVarSource{};
    variable.value_from->secret_key_ref = KeySelector{name, "k", optional};
    return variable;
  };
  struct Row {
    EnvVar variable;
    std::string message;  // empty: no error, and no variable
  };
  const Row rows[] = {
      {from_map("none", "a", false), "configmap \"none\" not found"},
      {from_map("none", "a", true), ""},
      {from_map("cfg", "b", false), "couldn't find key b in ConfigMap default/cfg"},
      {from_map("cfg", "b", true), ""},
      {from_secret("none", false), "secret \"none\" not found"},
      {from_secret("none", true), ""},
  };
  for (const auto& row : rows) {
    container.env = {row.variable};
    const auto environment = make_environment(make_context(pod), container, *store.view());
    INFO(row.message);
    REQUIRE(environment.has_value() == row.message.empty());
    if (environment) {
      CHECK(value_of(*environment, "V") == "(absent)");
    } else {
      CHECK(environment.error().message == row.message);
      CHECK(environment.error().reason == "CreateContainerConfigError");
    }
  }
}

TEST_CASE("B36 fields of the pod", "[agent][env]") {
  Pod pod = make_pod("app");
  pod.metadata.labels = {{"tier", "web"}, {"app.kubernetes.io/name", "shop"}};
  pod.metadata.annotations = {{"note", "say \"hi\"\nagain"}};
  pod.spec.service_account_name = "builder";
  struct Row {
    const char* path;
    const char* expected;  // nullptr: refused
  };
  const Row rows[] = {
      {"metadata.name", "app"},
      {"metadata.namespace", "default"},
      {"metadata.uid", "uid-app"},
      {"metadata.labels['tier']", "web"},
      {"metadata.labels['app.kubernetes.io/name']", "shop"},
      {"metadata.labels['none']", ""},
      {"metadata.labels", "app.kubernetes.io/name=\"shop\"\ntier=\"web\""},
      {"metadata.annotations", "note=\"say \\\"hi\\\"\\nagain\""},
      {"spec.nodeName", "node-1"},
      {"spec.serviceAccountName", "builder"},
      {"status.podIP", "10.209.0.2"},
      {"status.hostIP", "192.0.2.1"},
      {"spec.containers", nullptr},
      {"metadata.labels[tier]", nullptr},
  };
  for (const auto& row : rows) {
    INFO(row.path);
    const auto value = read_pod_field(make_context(pod), row.path);
    REQUIRE(value.has_value() == (row.expected != nullptr));
    if (value) CHECK(*value == row.expected);
  }
}

TEST_CASE("B37 resource fields are rounded up to the divisor", "[agent][env]") {
  Pod pod = make_pod("app");
  pod.spec.containers[0].resources.limits["cpu"] = *Quantity::parse("250m");
  pod.spec.containers[0].resources.requests["memory"] = *Quantity::parse("100Mi");
  struct Row {
    const char* resource;
    const char* divisor;
    const char* expected;  // nullptr: refused
  };
  const Row rows[] = {
      {"limits.cpu", "", "1"},
      {"limits.cpu", "1m", "250"},
      {"requests.cpu", "1m", "250"},
      {"requests.memory", "1Mi", "100"},
      {"requests.memory", "3Mi", "34"},
      {"limits.memory", "1Gi", "8"},       // no limit: what the node can give
      {"limits.memory", "", "8589934592"},
      {"limits.disk", "", nullptr},
      {"memory", "", nullptr},
  };
  for (const auto& row : rows) {
    INFO(row.resource << " / " << row.divisor);
    ResourceFieldSelector selector;
    selector.resource = row.resource;
    if (*row.divisor != '\0') selector.divisor = Quantity::parse(row.divisor);
    const auto value = read_resource_field(make_context(pod), "main", selector);
    REQUIRE(value.has_value() == (row.expected != nullptr));
    if (value) CHECK(*value == row.expected);
  }
  ResourceFieldSelector elsewhere;
  elsewhere.container_name = "none";
  elsewhere.resource = "limits.cpu";
  CHECK_FALSE(read_resource_field(make_context(pod), "main", elsewhere));
}

TEST_CASE("B39 variables of Services", "[agent][env]") {
  Service service;
  service.metadata.name = "my-db";
  service.metadata.namespace_name = "default";
  service.spec.cluster_ip = "10.210.0.7";
  ServicePort first;
  first.name = "sql-port";
  first.port = 5432;
  ServicePort second;
  second.port = 53;
  second.protocol = "UDP";
  service.spec.ports = {first, second};
  std::map<std::string, std::string> values;
  for (const auto& variable : make_service_variables({service})) {
    values[variable.name] = variable.value;
  }
  const std::map<std::string, std::string> expected = {
      {"MY_DB_SERVICE_HOST", "10.210.0.7"},
      {"MY_DB_SERVICE_PORT", "5432"},
      {"MY_DB_SERVICE_PORT_SQL_PORT", "5432"},
      {"MY_DB_PORT", "tcp://10.210.0.7:5432"},
      {"MY_DB_PORT_5432_TCP", "tcp://10.210.0.7:5432"},
      {"MY_DB_PORT_5432_TCP_PROTO", "tcp"},
      {"MY_DB_PORT_5432_TCP_PORT", "5432"},
      {"MY_DB_PORT_5432_TCP_ADDR", "10.210.0.7"},
      {"MY_DB_PORT_53_UDP", "udp://10.210.0.7:53"},
      {"MY_DB_PORT_53_UDP_PROTO", "udp"},
      {"MY_DB_PORT_53_UDP_PORT", "53"},
      {"MY_DB_PORT_53_UDP_ADDR", "10.210.0.7"},
  };
  CHECK(values == expected);

  FakeStore store;
  store.put(make_object(service));
  Service headless = service;
  headless.metadata.name = "headless";
  headless.spec.cluster_ip = "None";
  store.put(make_object(headless));
  Pod pod = make_pod("app");
  const auto with = make_environment(make_context(pod), pod.spec.containers[0], *store.view());
  CHECK(value_of(*with, "MY_DB_SERVICE_HOST") == "10.210.0.7");
  CHECK(value_of(*with, "HEADLESS_SERVICE_HOST") == "(absent)");
  pod.spec.enable_service_links = false;
  const auto without = make_environment(make_context(pod), pod.spec.containers[0], *store.view());
  CHECK(without->variables.empty());
}

TEST_CASE("B34 B35 what is run", "[agent][process]") {
  using Words = std::vector<std::string>;
  struct Row {
    const char* what;
    Words command;
    Words args;
    Words entrypoint;
    Words cmd;
    Words expected;  // empty: refused
  };
  const Row rows[] = {
      {"neither", {}, {}, {"/e"}, {"c"}, {"/e", "c"}},
      {"args only", {}, {"a"}, {"/e"}, {"c"}, {"/e", "a"}},
      {"command only", {"/k"}, {}, {"/e"}, {"c"}, {"/k"}},
      {"both", {"/k"}, {"a"}, {"/e"}, {"c"}, {"/k", "a"}},
      {"expanded", {"/k", "$(X)"}, {"$(Y)"}, {}, {}, {"/k", "x", "$(Y)"}},
      {"the image's words stay", {}, {}, {"$(X)"}, {}, {"$(X)"}},
      {"nothing", {}, {}, {}, {}, {}},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Container container;
    container.command = row.command;
    container.args = row.args;
    ImageReport image;
    image.entrypoint = row.entrypoint;
    image.command = row.cmd;
    const auto words = make_arguments(container, image, {{"X", "x"}});
    REQUIRE(words.has_value() == !row.expected.empty());
    if (words) CHECK(*words == row.expected);
  }
}

TEST_CASE("B57 B58 capabilities", "[agent][process]") {
  struct Row {
    std::vector<std::string> add;
    std::vector<std::string> drop;
    std::uint64_t expected;
  };
  const Row rows[] = {
      {{}, {}, 0xa80425fb},
      {{"NET_BIND_SERVICE"}, {"ALL"}, 1ULL << 10U},
      {{}, {"all"}, 0},
      {{"ALL"}, {"SYS_ADMIN"}, kAllCapabilities & ~(1ULL << 21U)},
      {{"cap_net_admin"}, {}, 0xa80425fb | (1ULL << 12U)},
      {{"NET_RAW"}, {"NET_RAW"}, 0xa80425fb & ~(1ULL << 13U)},
  };
  for (const auto& row : rows) {
    const auto set = make_capabilities({row.add, row.drop});
    REQUIRE(set);
    CHECK(*set == row.expected);
  }
  CHECK(make_capabilities({{"NOSUCH"}, {}}).error().reason == "CreateContainerConfigError");
}

TEST_CASE("B51 B52 B53 B54 who runs it", "[agent][process]") {
  const AccountFiles files{
      "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nbroken line\n",
      "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\n"};
  struct Row {
    const char* what;
    const char* image_user;
    std::optional<std::int64_t> user;
    std::optional<std::int64_t> group;
    bool non_root;
    const char* reason;  // nullptr: fine
    std::uint32_t uid, gid;
    std::vector<std::uint32_t> groups;
    const char* home;
  };
  const Row rows[] = {
      {"nothing said", "", {}, {}, false, nullptr, 0, 0, {0, 10}, "/root"},
      {"image name", "app", {}, {}, false, nullptr, 1000, 1000, {10, 1000}, "/home/app"},
      {"image uid", "1000", {}, {}, false, nullptr, 1000, 1000, {10, 1000}, "/home/app"},
      {"image uid:gid", "1000:5", {}, {}, false, nullptr, 1000, 5, {5}, "/home/app"},
      {"image name:group", "app:wheel", {}, {}, false, nullptr, 1000, 10, {10}, "/home/app"},
      {"unknown uid", "777", {}, {}, false, nullptr, 777, 0, {0}, "/"},
      {"runAsUser wins", "app", 65534, {}, false, nullptr, 65534, 0, {0}, "/"},
      {"runAsGroup", "", 1001, 2002, false, nullptr, 1001, 2002, {2002}, "/"},
      {"runAsGroup alone", "app", {}, 2002, false, nullptr, 1000, 2002, {10, 2002}, "/home/app"},
      {"non-root number", "1000", {}, {}, true, nullptr, 1000, 1000, {10, 1000}, "/home/app"},
      {"non-root name", "app", {}, {}, true, "CreateContainerConfigError", 0, 0, {}, ""},
      {"non-root as root", "", {}, {}, true, "CreateContainerConfigError", 0, 0, {}, ""},
      {"runAsUser 0, non-root", "app", 0, {}, true, "CreateContainerConfigError", 0, 0, {}, ""},
      {"unknown name", "nobody", {}, {}, false, "CreateContainerError", 0, 0, {}, ""},
      {"T13 too large", "2147483648", {}, {}, true, "CreateContainerError", 0, 0, {}, ""},
      {"T13 wraps", "4294967296", {}, {}, true, "CreateContainerError", 0, 0, {}, ""},
      {"T12 negative", "-1", {}, {}, false, "CreateContainerError", 0, 0, {}, ""},
      {"T12 no user", ":5", {}, {}, false, "CreateContainerError", 0, 0, {}, ""},
      {"T12 no group", "app:", {}, {}, false, "CreateContainerError", 0, 0, {}, ""},
      {"runAsUser negative", "", -1, {}, false, "CreateContainerConfigError", 0, 0, {}, ""},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    PodSpec pod;
    Container container;
    container.security_context = SecurityContext{};
    container.security_context->run_as_user = row.user;
    container.security_context->run_as_group = row.group;
    container.security_context->run_as_non_root = row.non_root;
    ImageReport image;
    image.user = row.image_user;
    const auto identity = make_identity(pod, container, image, files);
    REQUIRE(identity.has_value() == (row.reason == nullptr));
    if (!identity) {
      CHECK(identity.error().reason == row.reason);
      const bool named = std::string(row.what) == "non-root name";
      if (named) CHECK_THAT(identity.error().message, Catch::Contains("non-numeric user (app)"));
      continue;
    }
    CHECK(identity->uid == row.uid);
    CHECK(identity->gid == row.gid);
    CHECK(identity->groups == row.groups);
    CHECK(identity->home == row.home);
  }
}

TEST_CASE("the container's security context beats the pod's", "[agent][process]") {
  PodSpec pod;
  pod.security_context = PodSecurityContext{};
  pod.security_context->run_as_user = 1;
  pod.security_context->run_as_group = 2;
  pod.security_context->supplemental_groups = {3003};
  pod.security_context->fs_group = 1234;
  Container container;
  container.security_context = SecurityContext{};
  container.security_context->run_as_user = 11;
  const auto identity = make_identity(pod, container, {}, {});
  REQUIRE(identity);
  CHECK(identity->uid == 11);
  CHECK(identity->gid == 2);
  CHECK(identity->groups == std::vector<std::uint32_t>{2, 1234, 3003});
}

TEST_CASE("T15 hostile account files", "[agent][process]") {
  ScratchDirectory scratch;
  const std::string upper = scratch.path() + "/upper";
  const std::string lower = scratch.path() + "/lower";
  std::filesystem::create_directories(upper + "/etc");
  std::filesystem::create_directories(lower + "/etc");
  std::ofstream(lower + "/etc/passwd") << "low:x:7:7::/:/bin/sh\n";
  const auto passwd = upper + "/etc/passwd";
  const auto read = [&] { return read_account_files({upper, lower}); };
  SECTION("the lower layer counts when the upper has none") {
    CHECK(read()->passwd == "low:x:7:7::/:/bin/sh\n");
  }
  SECTION("the upper layer wins") {
    std::ofstream(passwd) << "up:x:8:8::/:/bin/sh\n";
    CHECK(read()->passwd == "up:x:8:8::/:/bin/sh\n");
  }
  SECTION("a link") {
    std::filesystem::create_symlink("/etc/passwd", passwd);
    CHECK(read().error().code == Code::invalid);
  }
  SECTION("a FIFO does not block") {
    REQUIRE(::mkfifo(passwd.c_str(), 0644) == 0);
    CHECK(read().error().code == Code::invalid);
  }
  SECTION("a directory") {
    std::filesystem::create_directory(passwd);
    CHECK(read().error().code == Code::invalid);
  }
  SECTION("a device") {
    if (::mknod(passwd.c_str(), S_IFCHR | 0666, makedev(1, 5)) != 0) return;  // not root
    CHECK(read().error().code == Code::invalid);
  }
  SECTION("a huge file") {
    std::ofstream(passwd) << std::string(2U << 20U, 'x');
    CHECK(read().error().code == Code::exhausted);
  }
  SECTION("/etc is a link") {
    std::filesystem::remove_all(upper + "/etc");
    std::filesystem::create_symlink("/etc", upper + "/etc");
    CHECK(read().error().code == Code::invalid);
  }
}

TEST_CASE("the environment's lines", "[agent][process]") {
  ImageReport image;
  image.environment = {"PATH=/custom", "LANG=C", "BROKEN"};
  Environment environment;
  environment.variables = {{"LANG", "de"}, {"NEW", "1"}};
  const auto lines = make_environment_lines(image, environment, "/home/app", "web-0");
  const std::vector<std::string> expected = {"PATH=/custom", "LANG=de", "NEW=1", "HOME=/home/app",
                                             "HOSTNAME=web-0"};
  CHECK(lines == expected);
  CHECK(make_environment_lines({}, {}, "/", "h").at(0).rfind("PATH=/usr/local/sbin", 0) == 0);
}

TEST_CASE("B16 stop signals by name and number", "[agent][process]") {
  struct Row {
    const char* text;
    int expected;
  };
  const Row rows[] = {{"", 15},      {"SIGTERM", 15}, {"SIGINT", 2}, {"int", 2},
                      {"SIGQUIT", 3}, {"9", 9},        {"64", 64},    {"65", 15},
                      {"0", 15},      {"SIGRTMIN+3", 37}, {"SIGNOSUCH", 15}, {"999999", 15}};
  for (const auto& row : rows) {
    INFO(row.text);
    CHECK(parse_stop_signal(row.text) == row.expected);
  }
}

TEST_CASE("B63 B64 B65 service class, limits and OOM score", "[agent][resources]") {
  struct Row {
    const char* what;
    const char* cpu_request;
    const char* cpu_limit;
    const char* memory_request;
    const char* memory_limit;
    const char* qos;
    std::int64_t cpu;
    std::optional<std::int64_t> quota;
    std::optional<std::int64_t> memory;
    int score;
  };
  const Row rows[] = {
      {"nothing", "", "", "", "", "BestEffort", 0, {}, {}, 1000},
      {"zero counts as nothing", "0", "", "0", "", "BestEffort", 0, {}, {}, 1000},
      {"burstable", "500m", "1", "64Mi", "128Mi", "Burstable", 500, 1000, 134217728, 993},
      {"limits only", "", "1", "", "128Mi", "Guaranteed", 1000, 1000, 134217728, -997},
      {"equal", "1", "1", "128Mi", "128Mi", "Guaranteed", 1000, 1000, 134217728, -997},
      {"cpu only", "100m", "", "", "", "Burstable", 100, {}, {}, 999},
      {"more than the node", "", "", "16Gi", "", "Burstable", 0, {}, {}, 3},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    PodSpec spec;
    Container container;
    const auto put = [](ResourceList& list, const char* name, const char* text) {
      if (*text != '\0') list[name] = *Quantity::parse(text);
    };
    put(container.resources.requests, "cpu", row.cpu_request);
    put(container.resources.limits, "cpu", row.cpu_limit);
    put(container.resources.requests, "memory", row.memory_request);
    put(container.resources.limits, "memory", row.memory_limit);
    spec.containers = {container};
    CHECK(get_qos_class(spec) == row.qos);
    const CgroupLimits own = make_container_limits(container);
    CHECK(own.cpu_request_milli == row.cpu);
    CHECK(own.cpu_limit_milli == row.quota);
    CHECK(own.memory_limit_bytes == row.memory);
    CHECK(get_oom_score(spec, container, 8LL << 30) == row.score);
    const CgroupLimits pod = make_pod_limits(spec);
    CHECK(pod.cpu_limit_milli == row.quota);
    CHECK(pod.pids_limit == kDefaultPodPids);
  }
}

TEST_CASE("limits of a pod with init containers and sidecars", "[agent][resources]") {
  const auto make = [](const char* cpu, bool sidecar) {
    Container container;
    container.resources.limits["cpu"] = *Quantity::parse(cpu);
    if (sidecar) container.restart_policy = "Always";
    return container;
  };
  PodSpec spec;
  spec.init_containers = {make("3", false), make("1", true), make("3500m", false)};
  spec.containers = {make("1", false), make("1", false)};
  // The second init step runs beside the sidecar: 1 + 3.5 is more than 1 + 1 + 1.
  CHECK(make_pod_limits(spec).cpu_limit_milli == 4500);
  CHECK(make_pod_limits(spec).cpu_request_milli == 4500);
  spec.containers.push_back(Container{});  // one without a limit: the pod has none
  CHECK_FALSE(make_pod_limits(spec).cpu_limit_milli);
}
