// What must hold from one moment to the next, seen by one who remembers the last one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "schema/model/pod.hpp"
#include "schema/ports/state_view.hpp"
#include "tests/sim/machine.hpp"

namespace moored::sim {

class Witness {
 public:
  // What must not be, in words; empty: all is well.
  std::string look(const std::shared_ptr<const StateView>& view, const Machine& machine);

 private:
  // A pod as it was seen last.
  struct PodSeen {
    std::int32_t restarts = 0;
    bool ready = false;
    std::string container_id;
  };
  std::string look_at_declared(const StateView& view);
  std::string look_at_uids(const StateView& view);
  std::string look_at_pods(const StateView& view, const Machine& machine);
  std::string look_at_addresses(const StateView& view);
  std::string look_at_unit(const StateView& view);

  std::shared_ptr<const StateView> before_;
  std::set<ObjectKey> declared_;               // in every commit, and seen once
  std::map<ObjectKey, std::string> uids_;
  std::set<std::string> retired_;              // uids of objects that are gone
  std::map<std::string, PodSeen> pods_;        // by uid
  std::map<std::string, std::string> addresses_;  // of Services, by uid
};

}  // namespace moored::sim
