// What of the pods on this machine is not as it was made: a seam of the simulation.
#pragma once

#include <string>
#include <vector>

namespace moored {

// One difference between a sandbox and what was made.
struct SandboxDrift {
  enum class Remedy {
    put_back,  // can be put right where it is
    restart,   // only a new attempt of the container has it right again
    none,      // nothing can be done from here
  };
  std::string uid;
  std::string container;   // empty: the pod's own
  std::string field;       // names the difference as long as it lasts, the subject included
  std::string desired;
  std::string observed;
  std::string correction;  // what was done; empty: nothing
  Remedy remedy = Remedy::none;
};

// A pod to look at, and whether what can be put back is to be.
struct WatchOrder {
  std::string uid;
  bool correct = false;
};

// Something happened that may be drift. The likely actor is empty when the kernel does not tell.
struct WatchHint {
  std::string uid;    // empty: any pod
  std::string actor;  // "tee[4711] uid 0"
};

// Thread safe. Looking costs a few reads of /proc for each process and sleeps for nothing.
class SandboxWatch {
 public:
  virtual ~SandboxWatch() = default;
  // To be called when an attempt has started: keeps how it is then as what it should be.
  virtual void remember(const std::string& uid, const std::string& container, int attempt) = 0;
  // The attempt has ended: nothing of it is looked at or held open any more.
  virtual void forget(const std::string& uid, const std::string& container) = 0;
  // Compares the running containers of the pods with what was made of them. What ended meanwhile
  // is no difference.
  virtual std::vector<SandboxDrift> look(const std::vector<WatchOrder>& pods) = 0;
  // Becomes readable when there are hints; -1: this kernel gives none.
  virtual int descriptor() const = 0;
  // Hints since the last call, without waiting. What this daemon itself did is not among them.
  virtual std::vector<WatchHint> take_hints() = 0;
};

}  // namespace moored
