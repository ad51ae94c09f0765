// The machine under the daemon: sandboxes, containers, addresses. Survives every kill.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "schema/ports/sandbox.hpp"
#include "tests/sim/chance.hpp"

namespace moored::sim {

// How an image behaves, read from its tag: good, slow (ready late), stubborn (deaf to the stop
// signal), sick (never ready), crash (ends by itself), missing (cannot be pulled).
std::string behaviour_of(const std::string& image);
// How long it takes from its start until it answers.
Duration warm_up_of(const std::string& behaviour);

// One pod that exists on the machine.
struct SimPod {
  PodSandboxSpec spec;
  std::map<std::pair<std::string, int>, ContainerReport> containers;
  std::map<std::string, std::string> images;        // by container name
  std::map<std::string, CgroupLimits> limits;
  std::map<std::pair<std::string, int>, MonoTime> ends;  // containers that will end by themselves
  std::map<std::string, std::deque<MonoTime>> starts;    // the newest ones, by container name
  std::set<std::pair<std::string, int>> asked;      // containers that got the stop signal
  std::set<std::pair<std::string, int>> known;      // a daemon was told that they run
  bool stopping = false;                            // a container of it was told to stop
  bool shim_alive = true;
};

class Machine {
 public:
  explicit Machine(const SimClock& clock) : clock_(clock) {}

  std::map<std::string, SimPod> pods;               // by uid
  std::map<std::string, std::string> addresses;     // by uid
  std::vector<SandboxEvent> events;                 // for the daemon that listens; lost with it
  std::set<std::string> bereaved;                   // uids of pods whose shim died once
  std::vector<std::string> broken;                  // what must never happen, in words

  // Lets containers end whose time has come. True when one did.
  bool run_until_now();
  // When the next one ends by itself.
  std::optional<MonoTime> find_next_end() const;
  // Ends a container; its exit is an event.
  void end(const std::string& uid, const std::pair<std::string, int>& key, int code, int signal);
  // Ends a random running container as the kernel would. True when there was one.
  bool end_one(Dice& dice);
  // Kills the shim of a random pod, and all its containers with it. True when there was one.
  bool lose_shim(Dice& dice);
  // The machine starts anew: nothing of any pod is left.
  void reboot();
  // A daemon has died: what it knew of restarts may be gone with it.
  void forget_pace();

  // Whether the pod's containers all run and answer their probes.
  bool is_serving(const SimPod& pod) const;
  // Pods of an application that serve, apart from those being stopped.
  int count_serving(const std::string& application) const;
  void start(SimPod& pod, const std::pair<std::string, int>& key);
  // The first process gets a signal.
  void signal(const std::string& uid, const std::pair<std::string, int>& key, int number);
  std::string give_address(const std::string& uid);

 private:
  void watch_pace(SimPod& pod, const std::string& container);

  const SimClock& clock_;
  int next_address_ = 1;
};

}  // namespace moored::sim
