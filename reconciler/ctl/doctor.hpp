// moorctl doctor: what this machine lacks to be kept, and how to mend it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reconciler/ctl/options.hpp"
#include "schema/codec/value.hpp"

namespace moored::ctl {

// A file system on which moored keeps something.
struct DiskFacts {
  std::string path;         // the directory asked about, which need not exist yet
  std::string type;         // such as ext4; empty: not known
  std::int64_t free_bytes = 0;
  std::int64_t free_files = 0;  // inodes; of a file system that counts none, 0 of 0
  std::int64_t files = 0;
};

// A chain at the forward hook whose policy is drop, which is not moored's.
struct DroppingChain {
  std::string table;  // family and name, such as "ip filter"
  std::string chain;
};

// Everything the verdicts look at. What could not be found out is absent or empty.
struct MachineFacts {
  bool root = false;                      // whether the command ran as root
  std::string kernel;                     // release, such as 6.1.0-18-amd64
  std::vector<std::string> missing_calls; // system calls that the kernel does not have
  std::string unified;                    // mount point of cgroup v2
  std::set<std::string> v2_controllers;   // that it can limit with
  std::set<std::string> v1_controllers;   // with a hierarchy of their own
  std::set<std::string> file_systems;     // registered, or there as a module
  std::set<std::string> namespaces;       // kinds that the kernel has
  std::vector<std::string> closed_namespaces;  // kinds of which no more may be made
  std::set<std::string> seccomp_actions;
  bool landlock = false;
  std::uint64_t capabilities = 0;         // bits, as the kernel numbers them
  std::optional<std::string> nft_error;   // what nft said when it could not list the rules
  std::vector<DroppingChain> dropping;
  std::vector<std::string> legacy_tables; // of the old iptables, whose rules nft does not show
  std::optional<bool> forwarding;         // net.ipv4.ip_forward
  std::map<std::string, std::string> programs;  // by name; empty: not found
  std::set<std::string> users;            // of the workers, that exist
  std::vector<DiskFacts> disks;
  bool api_port_free = true;              // or held by the daemon of the run directory
  std::string api_address;
  std::int64_t swap_bytes = 0;
  bool swap_accounting = false;           // containers can be limited in it
  bool clock_synchronised = false;
  bool systemd = false;                   // it is the first process
  bool holder_active = false;             // the cgroup of moored-pods.service exists
  std::optional<std::string> configuration_error;  // what "moored check" said
};

// How a check came out: a warning costs something, a failure keeps moored from working.
enum class Verdict { good, warning, failure };

// One check with its outcome.
struct Finding {
  std::string check;  // one word, the same in every release
  Verdict verdict = Verdict::good;
  std::string found;  // what is so
  std::string mend;   // what to do about it; empty when it is good
};

// Looks at the machine it runs on and changes nothing; a few tens of milliseconds. Thread safe.
MachineFacts look_at_machine(const DoctorCommand& command, const std::string& run_dir);
// The chains of "nft -j list chains" that drop what is forwarded. Pure.
std::vector<DroppingChain> find_dropping_chains(const std::string& listing);
// Every check in the order in which it is best mended. Pure: the same facts, the same findings.
std::vector<Finding> judge_machine(const MachineFacts& facts);
// {healthy, failures, warnings, checks: [{check, verdict, found, mend}]}. Pure.
Value findings_value(const std::vector<Finding>& findings);

}  // namespace moored::ctl
