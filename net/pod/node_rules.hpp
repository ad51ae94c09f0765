// The packet rules of a node's pods as text: pure, the same for every number of pods.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "net/link/address.hpp"

namespace moored::net {

// What the rules of one instance depend on.
struct NodeRuleOptions {
  std::string instance;  // six hex digits
  Ipv4Prefix pods;
  Ipv4Prefix services;
  std::vector<int> refused_ports;  // TCP ports of the node that pods must not reach
};

// Names of an instance's things in the kernel.
std::string pod_table(const std::string& instance);    // moored_<instance>
std::string link_prefix(const std::string& instance);  // m<instance>, begins every host end

// A transaction that puts the whole table in place: guard against spoofed senders and against the
// node's loopback, refused ports, masquerade towards the outside. Replaces an older one at once.
std::string render_node_rules(const NodeRuleOptions& options);

// The table that all instances of a network namespace share. It remembers, for as long as the
// settings themselves live, who is here and on which links forwarding was switched on.
inline constexpr std::string_view kSharedTable = "moored_shared";
struct NodeClaim {
  Ipv4Prefix pods;
  Ipv4Prefix services;
  bool operator==(const NodeClaim&) const = default;
};
struct SharedState {
  std::map<std::string, NodeClaim> claims;  // by instance
  std::set<std::string> opened;             // links whose forwarding was off before us
  bool operator==(const SharedState&) const = default;
};
// Reads a listing of the shared table; an empty text is an empty state.
SharedState parse_shared(std::string_view listing);
// A transaction that replaces the shared table; with no claims left, one that removes it.
// Packets between two opened links stay unforwarded, as they were before.
std::string render_shared(const SharedState& state);
// True for link names that may appear in rules.
bool is_plain_link_name(std::string_view name);

}  // namespace moored::net
