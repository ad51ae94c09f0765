// The order in which controllers are asked whom a change wakes.
#include "reconciler/controllers/kinds.hpp"

namespace moored {

std::vector<std::unique_ptr<Controller>> make_controllers() {
  std::vector<std::unique_ptr<Controller>> all;
  all.push_back(make_namespace_controller());
  all.push_back(make_deployment_controller());
  all.push_back(make_replica_set_controller());
  all.push_back(make_replication_controller());
  all.push_back(make_pod_controller());
  all.push_back(make_service_controller());
  all.push_back(make_kustomization_controller());
  all.push_back(make_event_controller());
  all.push_back(make_recovery_controller());
  return all;
}

}  // namespace moored
