#include "tests/sim/witness.hpp"

#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"

namespace moored::sim {
namespace {

bool is_ready(const Pod& pod) {
  const Condition* ready = find_condition(pod.status.conditions, "Ready");
  return ready != nullptr && ready->status == "True";
}

bool is_unit_ready(const StateView& view) {
  const auto unit = view.find(key_of<Kustomization>("moored-system", "default"));
  if (!unit) return false;
  const Condition* ready = find_condition(unit->as<Kustomization>().status.conditions, "Ready");
  return ready != nullptr && ready->status == "True";
}

// The Deployment has rolled out what it asks for.
bool is_rolled_out(const StateView& view) {
  const auto object = view.find(key_of<Deployment>("default", "web"));
  if (!object) return false;
  const auto& deployment = object->as<Deployment>();
  const auto replicas = deployment.spec.replicas.value_or(1);
  const auto& status = deployment.status;
  return status.observed_generation >= deployment.metadata.generation &&
         status.updated_replicas == replicas && status.available_replicas == replicas;
}

}  // namespace

std::string Witness::look(const std::shared_ptr<const StateView>& view, const Machine& machine) {
  std::string wrong = look_at_declared(*view);
  if (wrong.empty()) wrong = look_at_uids(*view);
  if (wrong.empty()) wrong = look_at_pods(*view, machine);
  if (wrong.empty()) wrong = look_at_addresses(*view);
  if (wrong.empty()) wrong = look_at_unit(*view);
  before_ = view;
  return wrong;
}

std::string Witness::look_at_declared(const StateView& view) {
  for (const char* name : {"anchor", "stranger"}) {
    const ObjectKey key = key_of<ConfigMap>("default", name);
    const bool there = view.find(key).has_value();
    if (!there && declared_.count(key) > 0) {
      return "the ConfigMap " + std::string(name) + ", which is always declared, was removed";
    }
    if (there) declared_.insert(key);
  }
  return {};
}

// A uid names one object for ever.
std::string Witness::look_at_uids(const StateView& view) {
  std::map<ObjectKey, std::string> now;
  for (const Kind* kind : {&kind_of<Pod>(), &kind_of<ConfigMap>(), &kind_of<Deployment>(),
                           &kind_of<ReplicaSet>(), &kind_of<Service>()}) {
    for (const Object& object : view.list(*kind)) now[object.key()] = object.meta().uid;
  }
  for (const auto& [key, uid] : uids_) {
    const auto found = now.find(key);
    if (found == now.end() || found->second != uid) retired_.insert(uid);
  }
  uids_ = std::move(now);
  for (const auto& [key, uid] : uids_) {
    if (retired_.count(uid) > 0) return key.text() + " has the uid of an object that is gone";
  }
  return {};
}

// Restarts are counted up only; what serves and was ready stays so while it does.
std::string Witness::look_at_pods(const StateView& view, const Machine& machine) {
  std::map<std::string, PodSeen> now;
  for (const Object& object : view.list(kind_of<Pod>(), "default")) {
    const Pod& pod = object.as<Pod>();
    PodSeen seen;
    seen.ready = is_ready(pod);
    for (const ContainerStatus& container : pod.status.container_statuses) {
      seen.restarts = container.restart_count;
      seen.container_id = container.container_id;
      const auto& ended = container.state.terminated ? container.state.terminated
                                                     : container.last_state.terminated;
      const bool lost = ended && ended->reason == "ContainerStatusUnknown";
      if (lost && machine.bereaved.count(pod.metadata.uid) == 0) {
        return pod.metadata.name + " does not know how its container ended";
      }
    }
    const auto known = pods_.find(pod.metadata.uid);
    if (known != pods_.end()) {
      const PodSeen& before = known->second;
      if (seen.restarts < before.restarts) {
        return pod.metadata.name + " has " + std::to_string(seen.restarts) + " restarts after " +
               std::to_string(before.restarts);
      }
      const auto found = machine.pods.find(pod.metadata.uid);
      const bool serves = found != machine.pods.end() && machine.is_serving(found->second) &&
                          !pod.metadata.deletion_timestamp;
      const bool same = seen.container_id == before.container_id;
      if (serves && same && before.ready && !seen.ready) {
        return pod.metadata.name + " serves, was ready and is not any more";
      }
    }
    now[pod.metadata.uid] = std::move(seen);
  }
  pods_ = std::move(now);
  return {};
}

std::string Witness::look_at_addresses(const StateView& view) {
  for (const Object& object : view.list(kind_of<Service>(), "default")) {
    const std::string& address = object.as<Service>().spec.cluster_ip;
    std::string& known = addresses_[object.meta().uid];
    if (!known.empty() && address != known) {
      return "the address of " + object.key().text() + " moved from " + known + " to " + address;
    }
    known = address;
  }
  return {};
}

// When a unit becomes ready, what it applied is: in this state, or in the one before it, whose
// news the decision may not have seen yet.
std::string Witness::look_at_unit(const StateView& view) {
  if (!before_ || !is_unit_ready(view) || is_unit_ready(*before_)) return {};
  if (is_rolled_out(view) || is_rolled_out(*before_)) return {};
  return "the unit is called ready while its Deployment is not rolled out";
}

}  // namespace moored::sim
