// Differences of this machine that are open or put right: each is told once. Pure values.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "runtime/agent/pod_memory.hpp"
#include "schema/ports/fact.hpp"

namespace moored::agent {

// Whether a container's end was brought about from outside. Only SIGKILL counts, when neither we
// nor the kernel's memory killer sent it: the first process of a pid namespace cannot be killed
// from inside, and every other signal is the program's own business.
bool is_killed_from_outside(const ContainerReport& report, const ContainerMemory& before);

class DriftLedger {
 public:
  // A process was killed from outside. restarts: policy will start it again.
  DriftRecord open_process(const Object& pod, const ContainerReport& report, bool restarts,
                           Time now);
  // The container runs again. Nothing: no difference was open.
  std::optional<DriftRecord> close_process(const std::string& uid, const std::string& container,
                                           Time now);
  // A difference that was found and put right in one go; fills object, id and times.
  static DriftRecord make_corrected(const Object& pod, DriftRecord found, Time now);
  // The pod is gone: nothing of it stays open.
  void forget(const std::string& uid);
  std::size_t get_open_count() const { return open_.size(); }

 private:
  std::map<std::pair<std::string, std::string>, DriftRecord> open_;  // by uid and container
};

}  // namespace moored::agent
