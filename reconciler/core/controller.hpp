// A controller decides for one kind: from a key and a reading of the store to a plan. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reconciler/core/plan.hpp"

namespace moored {

// What every decision is given, beside the state. Values only.
struct PlanContext {
  const StateView& view;
  Now now;
  std::string store_id;        // six hex digits at least; with a key and version it names things
  std::string node_name;
  std::string service_cidr = "10.210.0.0/16";  // where ClusterIPs come from
};

// One controller for each kind. Stateless and pure: the same values give the same plan.
class Controller {
 public:
  virtual ~Controller() = default;
  // The kind whose keys this controller takes from the queue.
  virtual const Kind& kind() const = 0;
  virtual std::string name() const = 0;
  // Brings one object a step nearer to what it wants. On a converged state the plan is empty.
  // A key that no longer exists is planned too: clean up after it.
  virtual Plan plan(const ObjectKey& key, const PlanContext& context) const = 0;
  // Keys of this controller that a change of any object concerns. Called with the old and the new
  // version of every changed object.
  virtual std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const = 0;
};

// All controllers and the scheduler, in a fixed order.
std::vector<std::unique_ptr<Controller>> make_controllers();

// A name suffix and a uid that a replay gives again: functions of the store's id, the view's
// resource version, the key and the salt.
std::string derive_suffix(const PlanContext& context, const ObjectKey& key, std::string_view salt,
                          std::size_t length);
std::string derive_uid(const PlanContext& context, const ObjectKey& key, std::string_view salt);

}  // namespace moored
