// Defaults exactly as Kubernetes fills them in, seen on objects decoded from manifests.
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using testing::container_yaml;
using testing::decode_good;
using testing::pod_yaml;

const Container& first_container(const Object& pod) {
  return pod.as<Pod>().spec.containers.front();
}

TEST_CASE("a pod gets the defaults of its spec") {
  const auto object = decode_good(container_yaml(""));
  const auto& spec = object.as<Pod>().spec;
  CHECK(spec.restart_policy == "Always");
  CHECK(spec.dns_policy == "ClusterFirst");
  CHECK(spec.termination_grace_period_seconds == 30);
  CHECK(spec.scheduler_name == "default-scheduler");
  CHECK(spec.enable_service_links == true);
  CHECK_FALSE(spec.active_deadline_seconds);
  CHECK_FALSE(spec.security_context);
  const auto& container = spec.containers.front();
  CHECK(container.termination_message_path == "/dev/termination-log");
  CHECK(container.termination_message_policy == "File");
}

TEST_CASE("a grace period of zero is kept") {
  const auto object = decode_good(pod_yaml(
      "terminationGracePeriodSeconds: 0\ncontainers: [{name: c, image: a:1}]"));
  CHECK(object.as<Pod>().spec.termination_grace_period_seconds == 0);
}

TEST_CASE("the pull policy follows the tag") {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  for (const auto& [image, policy] : std::vector<std::pair<std::string, std::string>>{
           {"a", "Always"}, {"a:latest", "Always"}, {"h:5000/a", "Always"},
           {"a:1", "IfNotPresent"}, {"a" + digest, "IfNotPresent"},
           {"a:1" + digest, "IfNotPresent"}, {"a:latest" + digest, "Always"}}) {
    INFO(image);
    const auto object = decode_good(pod_yaml("containers: [{name: c, image: \"" + image + "\"}]"));
    CHECK(first_container(object).image_pull_policy == policy);
  }
  CHECK(first_container(decode_good(pod_yaml(
            "containers: [{name: c, image: a, imagePullPolicy: Never}]")))
            .image_pull_policy == "Never");
}

TEST_CASE("probes and hooks get their defaults") {
  const auto object = decode_good(container_yaml(
      "livenessProbe: {httpGet: {port: 80}}\nreadinessProbe: {tcpSocket: {port: 80}}\n"
      "startupProbe: {grpc: {port: 80}}\nlifecycle: {preStop: {httpGet: {port: 80}}}"));
  const auto& container = first_container(object);
  const auto& liveness = *container.liveness_probe;
  CHECK(liveness.period_seconds == 10);
  CHECK(liveness.timeout_seconds == 1);
  CHECK(liveness.success_threshold == 1);
  CHECK(liveness.failure_threshold == 3);
  CHECK(liveness.initial_delay_seconds == 0);
  CHECK(liveness.http_get->path == "/");
  CHECK(liveness.http_get->scheme == "HTTP");
  CHECK(liveness.http_get->port == IntOrString::of(80));
  CHECK(container.readiness_probe->tcp_socket->port == IntOrString::of(80));
  CHECK(container.startup_probe->grpc->service.empty());
  CHECK(container.lifecycle->pre_stop->http_get->path == "/");
}

TEST_CASE("ports are TCP, and host network takes the ports of the node") {
  const auto plain = decode_good(container_yaml("ports: [{containerPort: 80}]"));
  CHECK(first_container(plain).ports[0].protocol == "TCP");
  CHECK(first_container(plain).ports[0].host_port == 0);
  const auto host = decode_good(pod_yaml(
      "hostNetwork: true\ncontainers: [{name: c, image: a:1, ports: [{containerPort: 80}]}]"));
  CHECK(first_container(host).ports[0].host_port == 80);
}

TEST_CASE("requests are the limits when left out") {
  const auto object = decode_good(container_yaml(
      "resources: {limits: {cpu: 1, memory: 64Mi}, requests: {cpu: 100m}}"));
  const auto& resources = first_container(object).resources;
  CHECK(resources.requests.at("cpu").text() == "100m");
  CHECK(resources.requests.at("memory").text() == "64Mi");
}

TEST_CASE("volumes get modes, and one without a source is an empty directory") {
  const auto object = decode_good(pod_yaml(
      "containers: [{name: c, image: a:1}]\nvolumes:\n- name: a\n"
      "- {name: b, configMap: {name: x}}\n"
      "- {name: c, secret: {secretName: x, defaultMode: 256}}\n"
      "- {name: d, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}\n"
      "- {name: e, projected: {sources: [{configMap: {name: x}}]}}\n- {name: f, emptyDir: {}}"));
  const auto& volumes = object.as<Pod>().spec.volumes;
  CHECK(volumes[0].empty_dir);
  CHECK(volumes[1].config_map->default_mode == 0644);
  CHECK_FALSE(volumes[1].empty_dir);
  CHECK(volumes[2].secret->default_mode == 0400);
  CHECK(volumes[3].downward_api->default_mode == 0644);
  CHECK(volumes[3].downward_api->items[0].field_ref->api_version == "v1");
  CHECK(volumes[4].projected->default_mode == 0644);
  CHECK(volumes[5].empty_dir->medium.empty());
}

TEST_CASE("the old name of the service account is understood") {
  const auto object = decode_good(pod_yaml(
      "serviceAccount: robot\ncontainers: [{name: c, image: a:1}]"));
  CHECK(object.as<Pod>().spec.service_account_name == "robot");
}

std::string deployment_yaml(const std::string& rest) {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n"
         "  selector: {matchLabels: {app: web}}\n"
         "  template: {metadata: {labels: {app: web}}, "
         "spec: {containers: [{name: c, image: a}]}}\n" + rest;
}

TEST_CASE("a Deployment rolls by a quarter, keeps ten and waits ten minutes") {
  const auto object = decode_good(deployment_yaml(""));
  const auto& spec = object.as<Deployment>().spec;
  CHECK(spec.replicas == 1);
  CHECK(spec.revision_history_limit == 10);
  CHECK(spec.progress_deadline_seconds == 600);
  CHECK(spec.strategy.type == "RollingUpdate");
  REQUIRE(spec.strategy.rolling_update);
  CHECK(spec.strategy.rolling_update->max_surge == IntOrString::of("25%"));
  CHECK(spec.strategy.rolling_update->max_unavailable == IntOrString::of("25%"));
  CHECK(spec.pod_template.spec.containers[0].image_pull_policy == "Always");
}

TEST_CASE("what is written is not replaced by defaults") {
  const auto object = decode_good(deployment_yaml(
      "  replicas: 0\n  revisionHistoryLimit: 0\n  strategy: {rollingUpdate: {maxSurge: 0}}\n"));
  const auto& spec = object.as<Deployment>().spec;
  CHECK(spec.replicas == 0);
  CHECK(spec.revision_history_limit == 0);
  CHECK(spec.strategy.rolling_update->max_surge == IntOrString::of(0));
  CHECK(spec.strategy.rolling_update->max_unavailable == IntOrString::of("25%"));
  const auto recreate = decode_good(deployment_yaml("  strategy: {type: Recreate}\n"));
  CHECK_FALSE(recreate.as<Deployment>().spec.strategy.rolling_update);
}

TEST_CASE("a Service is a ClusterIP without affinity whose target is its port") {
  const auto object = decode_good(
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: 10.210.0.9\n"
      "  ports: [{name: a, port: 80}, {name: b, port: 81, targetPort: http}]\n");
  const auto& spec = object.as<Service>().spec;
  CHECK(spec.type == "ClusterIP");
  CHECK(spec.session_affinity == "None");
  CHECK(spec.internal_traffic_policy == "Cluster");
  CHECK(spec.ip_families == std::vector<std::string>{"IPv4"});
  CHECK(spec.ip_family_policy == "SingleStack");
  CHECK(spec.cluster_ips == std::vector<std::string>{"10.210.0.9"});
  CHECK(spec.ports[0].protocol == "TCP");
  CHECK(spec.ports[0].target_port == IntOrString::of(80));
  CHECK(spec.ports[1].target_port == IntOrString::of("http"));
}

TEST_CASE("stringData becomes data, and wins") {
  const auto object = decode_good(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
      "data: {a: aGVsbG8=, b: aGVsbG8=}\nstringData: {b: world}\n");
  const auto& secret = object.as<Secret>();
  CHECK(secret.type == "Opaque");
  CHECK(secret.data.at("a") == "hello");
  CHECK(secret.data.at("b") == "world");
  CHECK(secret.string_data.empty());
}

TEST_CASE("sources and units get Flux's defaults") {
  const auto source = decode_good(
      "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: a}\n"
      "spec: {url: https://git.test/a, interval: 1m}\n");
  CHECK(source.as<GitRepository>().spec.timeout == "60s");
  CHECK_FALSE(source.as<GitRepository>().spec.ref);
  const auto unit = decode_good(
      "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n"
      "spec: {interval: 1m, prune: true, sourceRef: {kind: GitRepository, name: a}}\n");
  CHECK(unit.as<Kustomization>().spec.path.empty());
  CHECK(unit.as<Kustomization>().spec.prune);
}

TEST_CASE("defaults do not change an object that has them already") {
  const auto once = decode_good(deployment_yaml(""));
  const auto again = decode_good(write_json(encode(once)));
  CHECK(encode_json(once) == encode_json(again));
  CHECK(diff(once, again, true).empty());
}

}  // namespace
}  // namespace moored
