// nftables tables of this network namespace: read as text, changed in one transaction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::net {

// A seam of the tests. Tables are of family ip. Thread safe.
class PacketRules {
 public:
  virtual ~PacketRules() = default;
  // Carries out a script in nft's native syntax, as a whole or not at all.
  // Errors: invalid (nft refused it, with its words), unavailable, timeout.
  virtual Status apply(const std::string& script) = 0;
  // A table as `nft -s list table` writes it, without counters and other state.
  // Errors: not_found, unavailable, timeout.
  virtual Result<std::string> read_table(const std::string& table) = 0;
  // What read_table would say of a table that only this script had made; the real rules are not
  // touched. This is how a rule is compared with what was wanted, whatever nft makes of its text.
  virtual Result<std::string> read_wanted(const std::string& script, const std::string& table) = 0;
  // The names of all tables.
  virtual Result<std::vector<std::string>> read_tables() = 0;
};

// Runs the nft program in the network namespace of the calling thread.
// (libnftables would bind us to its licence; a process start costs about 5 ms.)
std::unique_ptr<PacketRules> make_packet_rules(std::string program = "/usr/sbin/nft");

// The same, which remembers what it read until anybody changes any rule: the kernel numbers its
// transactions, so that a look at rules that stayed takes one message instead of a process. Belongs
// to the network namespace in which it was made. Errors: denied, exhausted.
Result<std::unique_ptr<PacketRules>> make_remembering_packet_rules(std::string program);

}  // namespace moored::net
