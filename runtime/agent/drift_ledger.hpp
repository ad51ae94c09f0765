// Differences of this machine that are open or put right: each is told once. Pure values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/agent/pod_memory.hpp"
#include "schema/ports/fact.hpp"

namespace moored::agent {

// Whether a container's end was brought about from outside. Only SIGKILL counts, when neither we
// nor the kernel's memory killer sent it: the first process of a pid namespace cannot be killed
// from inside, and every other signal is the program's own business.
bool is_killed_from_outside(const ContainerReport& report, const ContainerMemory& before);

// Which look a difference was found by: it is over when the same look does not find it again.
enum class DriftScope { process, limits, sandbox, network };

class DriftLedger {
 public:
  // A process was killed from outside. restarts: policy will start it again.
  DriftRecord open_process(const Object& pod, const ContainerReport& report, bool restarts,
                           Time now);
  // The container runs again: what only a restart could put right is right now.
  std::vector<DriftRecord> close_container(const std::string& uid, const std::string& container,
                                           Time now);
  // Everything that one look at an object found; those with a correction were put right at once.
  // Gives what is news: new differences, and open ones that are over. The node has no uid.
  std::vector<DriftRecord> settle(const Object& object, DriftScope scope,
                                  std::vector<DriftRecord> found, Time now);
  // Only a restart puts this difference right: closed by close_container.
  void await_restart(const std::string& uid, const std::string& field,
                     const std::string& container);
  // The pod is gone: nothing of it stays open. Gives the closed records.
  std::vector<DriftRecord> forget(const std::string& uid, Time now);
  std::size_t get_open_count() const { return open_.size(); }
  std::vector<std::string> list_uids() const;  // of pods with open differences

  // Open differences as JSON, so that a later daemon does not tell them again.
  std::string text() const;
  // Errors: corrupt.
  static Result<DriftLedger> parse(std::string_view text);

 private:
  struct Key {
    std::string uid;
    DriftScope scope = DriftScope::process;
    std::string field;
    std::string desired;
    auto operator<=>(const Key&) const = default;
  };
  struct Open {
    DriftRecord record;
    std::string container;  // closed by its restart; empty: by a look
  };
  static DriftRecord close(DriftRecord record, std::string correction, Time now);

  std::map<Key, Open> open_;
};

}  // namespace moored::agent
