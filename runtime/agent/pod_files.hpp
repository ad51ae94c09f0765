// /etc/hosts, /etc/hostname and /etc/resolv.conf of a pod. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/model/pod.hpp"

namespace moored::agent {

// The pod's host name: spec.hostname or its name, 63 characters at most; the node's with
// hostNetwork.
std::string get_hostname(const Pod& pod, const std::string& node_name);

// The generated hosts file, or the node's file plus aliases with hostNetwork.
std::string make_hosts_file(const Pod& pod, const std::string& address, const std::string& hostname,
                            std::string_view node_hosts);

// A resolver configuration, and what had to be left out or replaced.
struct ResolverFile {
  std::string text;
  std::vector<std::string> cut;  // limits that were hit: event DNSConfigForming
  bool fell_back = false;        // ClusterFirst uses the node's resolvers: event MissingClusterDNS
};
// From dnsPolicy, dnsConfig and the node's own file. At most 3 name servers, 32 search domains and
// 2048 characters of them.
ResolverFile make_resolver_file(const Pod& pod, std::string_view node_resolv_conf);

}  // namespace moored::agent
