// What makes this daemon's things on the machine its own: lock, instance, cgroup and address
// ranges.
#pragma once

#include <string>

#include "net/link/address.hpp"
#include "reconciler/daemon/configuration.hpp"
#include "schema/base/random.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// Address ranges of pods and Services, distinct for daemons that share a network namespace.
struct AddressRanges {
  net::Ipv4Prefix pods;
  net::Ipv4Prefix services;
};

// The owned state directory. Nobody else runs on it while this lives.
struct StateIdentity {
  UniqueFd lock;
  std::string instance;  // six hex digits, written once to <state-dir>/instance
};

// Makes and locks the state directory and reads or draws its instance.
// Errors: conflict (another daemon runs on it), denied.
Result<StateIdentity> claim_state(const std::string& state_dir, Random& random);

// The cgroup of all pods. Settled once for the life of the run directory, in RUN/cgroup, because
// pods that run stay where they are. Unless configured it is moored-INSTANCE: below the configured
// parent if that is a v2 group with the controllers that limits need (a holder unit), else at the
// top. unified: mount point of the v2 hierarchy, may be empty. Errors: corrupt, denied.
Result<std::string> claim_cgroup_root(const Configuration& configuration,
                                      const std::string& instance, const std::string& unified);

// The n-th pair of ranges to try when none is configured: 10.209 and 10.210, 10.211 and 10.212, …
// Nothing: no more.
std::optional<AddressRanges> candidate_ranges(std::size_t n);
// The ranges of an earlier run, or nothing. What a flag fixes wins over them.
// Errors: invalid (a configured range is not a prefix), corrupt.
Result<std::optional<AddressRanges>> read_ranges(const Configuration& configuration);
// Keeps the ranges for the next run.
Status write_ranges(const std::string& state_dir, const AddressRanges& ranges);

}  // namespace moored
