// Stopping one container: preStop, stop signal, SIGKILL at the end of the grace period. Pure.
#pragma once

#include "runtime/agent/pod_memory.hpp"

namespace moored::agent {

// After preStop has used up the grace period a program still gets this long for its own stop.
inline constexpr Duration kMinimumGrace = std::chrono::seconds(2);
// A stop signal that did not get through is sent again after this long: without it the program
// would be killed without a warning.
inline constexpr Duration kSignalAgain = std::chrono::seconds(1);
// A kill that did not end the container is repeated after this long.
inline constexpr Duration kKillAgain = std::chrono::seconds(5);

// Starts to stop a container, or shortens a stop that is under way; never lengthens one.
// Gives the Killing event of a new stop.
std::optional<Note> begin_stop(ContainerMemory& memory, const std::string& name, MonoTime since,
                               Duration grace, const std::string& message);

// The next step of a stop: adds at most one action, and when to look again to wake.
void advance_stop(const Container& container, ContainerMemory& memory, MonoTime now,
                  std::vector<Action>& actions, std::optional<MonoTime>& wake);

// Keeps the earlier of two times.
void wake_at(std::optional<MonoTime>& wake, MonoTime at);

}  // namespace moored::agent
