// One maker for each controller; make_controllers() puts them in order. Internal to controllers.
#pragma once

#include <memory>

#include "reconciler/core/controller.hpp"

namespace moored {

std::unique_ptr<Controller> make_deployment_controller();
std::unique_ptr<Controller> make_event_controller();
std::unique_ptr<Controller> make_kustomization_controller();
std::unique_ptr<Controller> make_namespace_controller();
std::unique_ptr<Controller> make_pod_controller();
std::unique_ptr<Controller> make_recovery_controller();
std::unique_ptr<Controller> make_replica_set_controller();
std::unique_ptr<Controller> make_replication_controller();
std::unique_ptr<Controller> make_service_controller();

}  // namespace moored
