// The two readings: what the store records and what the machine has.
#pragma once

#include <string>

#include "schema/base/result.hpp"
#include "tests/invariants/check.hpp"

namespace moored::invariants {

struct Places {
  std::string state_dir;
  std::string run_dir;
  std::string instance;     // six hex digits; empty: read from state-dir
  std::string cgroup_root;  // empty: /moored-<instance>
};

// Fills in what was left empty. Errors: not_found (no daemon ever ran on state-dir).
Result<Places> complete(Places places);
// Reads the heads of the store, beside a running daemon if need be. Errors: not_found, corrupt.
Result<Recorded> read_recorded(const Places& places);
// Reads kernel and directories. Errors: denied (needs root).
Result<Machine> read_machine(const Places& places);
// Everything that still carries the instance's name or lies in its directories.
Result<Leftovers> read_leftovers(const Places& places);
// Uids of the pods that the API lists. url: http://address:port. Errors: unavailable, corrupt.
Result<std::set<std::string>> read_api_pods(const std::string& url);

}  // namespace moored::invariants
