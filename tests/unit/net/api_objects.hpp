// Objects for the API's tests: small, but with everything the API looks at.
#pragma once

#include <string>

#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"

namespace moored::test {

inline Pod make_pod(const std::string& name, const std::string& phase = "Running",
                    const std::string& app = "web", const std::string& space = "shop") {
  Pod pod;
  pod.metadata.name = name;
  pod.metadata.namespace_name = space;
  pod.metadata.labels = {{"app", app}};
  Container container;
  container.name = "web";
  container.image = "registry.test/web:1";
  pod.spec.containers = {container};
  pod.spec.node_name = "node1";
  pod.status.phase = phase;
  ContainerStatus status;
  status.name = "web";
  status.ready = phase == "Running";
  if (phase == "Running") {
    status.state.running = ContainerStateRunning{parse_time("2026-01-01T00:30:00Z")};
  } else if (phase == "Pending") {
    status.state.waiting = ContainerStateWaiting{"ContainerCreating", ""};
  } else {
    status.state.terminated = ContainerStateTerminated{};
  }
  pod.status.container_statuses = {status};
  return pod;
}

inline Deployment make_deployment(const std::string& name, std::int32_t replicas = 2) {
  Deployment deployment;
  deployment.metadata.name = name;
  deployment.metadata.namespace_name = "shop";
  deployment.metadata.generation = 1;
  deployment.spec.replicas = replicas;
  deployment.spec.selector = LabelSelector{{{"app", name}, {"a", "b"}}, {}};
  deployment.status.replicas = replicas;
  deployment.status.ready_replicas = 1;
  return deployment;
}

inline Secret make_secret(const std::string& name, const std::string& value) {
  Secret secret;
  secret.metadata.name = name;
  secret.metadata.namespace_name = "shop";
  secret.metadata.annotations = {{"kubectl.kubernetes.io/last-applied-configuration", value}};
  secret.type = "Opaque";
  secret.data = {{"password", value}, {"user", value}};
  return secret;
}

inline Namespace make_namespace(const std::string& name) {
  Namespace space;
  space.metadata.name = name;
  space.status.phase = "Active";
  return space;
}

inline Node make_node(const std::string& name) {
  Node node;
  node.metadata.name = name;
  return node;
}

inline Event make_event(const std::string& name, const Object& about) {
  Event event;
  event.metadata.name = name;
  event.metadata.namespace_name = "shop";
  event.involved_object = reference_to(about);
  event.reason = "Started";
  event.message = "Started container web";
  event.type = "Normal";
  event.count = 3;
  event.source.component = "moored-agent";
  event.reporting_component = "moored-agent";
  return event;
}

inline GitRepository make_source(const std::string& name, const std::string& url) {
  GitRepository source;
  source.metadata.name = name;
  source.metadata.namespace_name = "moored-system";
  source.spec.url = url;
  source.spec.ref = GitRepositoryRef{"main", "", "", ""};
  return source;
}

}  // namespace moored::test
