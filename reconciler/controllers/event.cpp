// Event: forgotten an hour after it was last seen.
#include <utility>

#include "reconciler/controllers/kinds.hpp"
#include "reconciler/core/identity.hpp"
#include "schema/model/cluster.hpp"

namespace moored {
namespace {

constexpr std::chrono::hours kEventLife{1};

class EventController final : public Controller {
 public:
  const Kind& kind() const override { return kind_of<Event>(); }
  std::string name() const override { return "event-controller"; }

  Plan plan(const ObjectKey& key, const PlanContext& context) const override {
    Plan plan;
    const auto object = context.view.find(key);
    if (!object) return plan;
    const Event& event = object->as<Event>();
    const Time due = event.last_timestamp.value_or(Time{}) + kEventLife;
    const Time now = stamp(context.now);
    if (due <= now) {
      plan.remove(key, "an hour old");
    } else {
      plan.requeues.push_back({key, due - now});
    }
    return plan;
  }

  std::vector<ObjectKey> wakes(const Object& changed, const StateView&) const override {
    if (!changed.is<Event>()) return {};
    return {changed.key()};
  }
};

}  // namespace

std::unique_ptr<Controller> make_event_controller() {
  return std::make_unique<EventController>();
}

}  // namespace moored
