// Mistakes that are planted on purpose: the simulation has to find every one of them.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "reconciler/core/controller.hpp"
#include "schema/ports/fact.hpp"

namespace moored::sim {

enum class Planted {
  none,
  deaf_to_pods,        // the ReplicaSet controller is not woken by its pods
  hasty_rollout,       // the Deployment controller takes all old pods away at once
  extra_pod,           // the ReplicaSet controller makes each pod twice
  lost_farewells,      // facts about pods that are gone do not arrive
  forgotten_timers,    // nothing is called again when its time comes
  leaked_sandboxes,    // removing a sandbox says yes and does nothing
  trusted_halves,      // half a tree is said to be complete
  killing_start,       // a starting daemon ends what runs
  forgetful_endpoints, // the Service controller is not woken by pods
};

inline constexpr Planted kAllPlanted[] = {
    Planted::deaf_to_pods,     Planted::hasty_rollout,    Planted::extra_pod,
    Planted::lost_farewells,   Planted::forgotten_timers, Planted::leaked_sandboxes,
    Planted::trusted_halves,   Planted::killing_start,    Planted::forgetful_endpoints};

std::string_view name_of(Planted planted);

// The real controllers, with the mistake wrapped around the one it concerns.
std::vector<std::unique_ptr<Controller>> make_planted_controllers(Planted planted);

// The real sink, or one that loses some facts.
class PlantedSink final : public FactSink {
 public:
  PlantedSink(FactSink& inner, Planted planted) : inner_(inner), planted_(planted) {}
  void post(Fact fact, Cause cause) override;

 private:
  FactSink& inner_;
  Planted planted_;
};

}  // namespace moored::sim
