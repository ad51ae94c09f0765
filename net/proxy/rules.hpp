// Service rules as text in nft's native syntax. Pure: no kernel, no program, no clock.
//
// One chain for each port of a Service, holding one map of its backends; one verdict map finds the
// chain in a single look-up, however many Services there are.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/link/address.hpp"
#include "net/link/conntrack.hpp"
#include "net/proxy/service_table.hpp"

namespace moored::net {

struct RuleOptions {
  std::string instance;  // six hex digits
  Ipv4Prefix services;   // range of ClusterIPs: whatever stays unanswered in it is refused
};

// moored_<instance>_services: a table of its own, so that the pods' guard is never in between.
std::string service_table_name(const std::string& instance);
// The chain of a key of a ServiceTable: svc_<16 hex digits>.
std::string service_chain_name(std::string_view key);

// A transaction that replaces everything by the given state.
std::string render_rules(const ServiceTable& services, const RuleOptions& options);
// A transaction that takes the kernel from one state to another, touching only what differs.
// Empty when nothing does. before must be what the kernel holds.
std::string render_change(const ServiceTable& before, const ServiceTable& after,
                          const RuleOptions& options);
// A transaction that removes the table, whether or not it exists.
std::string render_removal(const RuleOptions& options);

// The blocks (sets, maps, chains) of a listing by name, each with its lines in order.
// Two listings of the same rules give the same blocks, whatever order they were made in.
std::map<std::string, std::string> split_listing(std::string_view listing);

// A UDP flow that must be forgotten, because it leads to a backend that its Service no longer has.
// (TCP connections end by themselves: a terminating backend keeps its own.)
bool is_stale(const Flow& flow, const ServiceTable& before, const ServiceTable& after);
// True when forgetting may be needed at all: a UDP port changed its backends.
bool has_udp_change(const ServiceTable& before, const ServiceTable& after);
// True when a connection could be sent to a backend that is no longer wanted: apply at once.
bool takes_away(const ServiceTable& before, const ServiceTable& after);

}  // namespace moored::net
