// Service: gets its cluster address once, and its endpoints from the pods it selects.
#include <set>
#include <utility>

#include "reconciler/controllers/cluster_ip.hpp"
#include "reconciler/controllers/endpoints.hpp"
#include "reconciler/controllers/kinds.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

constexpr std::chrono::seconds kAddressRetry{60};

class ServiceController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Service>(); }
  std::string name() const override { return "service-controller"; }
  Plan plan(const ObjectKey& key, const PlanContext& context) const override;
  std::vector<ObjectKey> wakes(const Object& changed, const StateView& view) const override;
};

// None is an address for this purpose: it says that there is none.
bool needs_address(const Service& service) {
  return service.spec.cluster_ip.empty() && service.spec.type != "ExternalName";
}

// Addresses of all namespaces: the range is one.
std::set<std::string> list_addresses(const StateView& view) {
  std::set<std::string> taken;
  for (const Object& object : view.list(kind_of<Service>())) {
    taken.insert(object.as<Service>().spec.cluster_ip);
  }
  return taken;
}

// Gives the Service an address; false: none is free.
bool allocate(Plan& plan, Object& object, const PlanContext& context) {
  auto service = object.as<Service>();
  const auto address = plan_cluster_ip(context.service_cidr, object.key(),
                                       list_addresses(context.view));
  if (!address) {
    plan.requeues.push_back({object.key(), kAddressRetry});
    plan.events.push_back({reference_to(object), true, "ClusterIPNotAllocated",
                           "no address of " + context.service_cidr + " is free",
                           "ipallocator"});
    return false;
  }
  service.spec.cluster_ip = *address;
  service.spec.cluster_ips = {*address};
  object = make_object(std::move(service), object.provenance());
  plan.put(object, "address " + *address + " allocated");
  return true;
}

Plan ServiceController::plan(const ObjectKey& key, const PlanContext& context) const {
  Plan plan;
  auto object = context.view.find(key);
  if (!object) {
    drop_endpoints(plan, key, context.view);
    return plan;
  }
  if (needs_address(object->as<Service>()) && !allocate(plan, *object, context)) return plan;
  plan_endpoints(plan, *object, context);
  return plan;
}

std::vector<ObjectKey> ServiceController::wakes(const Object& changed,
                                                const StateView& view) const {
  const ObjectMeta& meta = changed.meta();
  if (changed.is<Service>()) return {changed.key()};
  if (changed.is<Endpoints>()) return {key_of<Service>(meta.namespace_name, meta.name)};
  if (changed.is<EndpointSlice>()) {
    const OwnerReference* owner = find_controller(meta);
    if (owner == nullptr) return {};
    return {key_of<Service>(meta.namespace_name, owner->name)};
  }
  std::vector<ObjectKey> keys;
  if (!changed.is<Pod>()) return keys;
  for (const Object& service : view.list(kind_of<Service>(), meta.namespace_name)) {
    const Labels& selector = service.as<Service>().spec.selector;
    if (!selector.empty() && matches(selector, meta.labels)) keys.push_back(service.key());
  }
  return keys;
}

}  // namespace

std::unique_ptr<Controller> make_service_controller() {
  return std::make_unique<ServiceController>();
}

}  // namespace moored
