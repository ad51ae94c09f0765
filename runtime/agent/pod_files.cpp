#include "runtime/agent/pod_files.hpp"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

namespace moored::agent {
namespace {

constexpr std::size_t kMaxNameServers = 3;
constexpr std::size_t kMaxSearches = 32;
constexpr std::size_t kMaxSearchLength = 2048;
constexpr std::size_t kMaxHostname = 63;

struct Resolver {
  std::vector<std::string> servers;
  std::vector<std::string> searches;
  std::vector<std::pair<std::string, std::optional<std::string>>> options;
};

// Order is kept, doubles are left out.
void add_once(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

// A later option of the same name replaces the earlier one.
void add_option(Resolver& resolver, const std::string& name, std::optional<std::string> value) {
  for (auto& option : resolver.options) {
    if (option.first != name) continue;
    option.second = std::move(value);
    return;
  }
  resolver.options.emplace_back(name, std::move(value));
}

// Reads resolv.conf; a later search line replaces an earlier one.
// Source: resolv.conf(5).
Resolver parse_resolver(std::string_view text) {
  Resolver resolver;
  std::istringstream lines{std::string(text)};
  std::string line;
  while (std::getline(lines, line)) {
    line = line.substr(0, line.find_first_of("#;"));
    std::istringstream words(line);
    std::string keyword;
    std::string word;
    words >> keyword;
    if (keyword == "search" || keyword == "domain") resolver.searches.clear();
    while (words >> word) {
      if (keyword == "nameserver") add_once(resolver.servers, word);
      if (keyword == "search" || keyword == "domain") add_once(resolver.searches, word);
      if (keyword != "options") continue;
      const auto colon = word.find(':');
      if (colon == std::string::npos) {
        add_option(resolver, word, std::nullopt);
      } else {
        add_option(resolver, word.substr(0, colon), word.substr(colon + 1));
      }
    }
  }
  return resolver;
}

// What resolvers in containers can take.
void cut_to_limits(Resolver& resolver, std::vector<std::string>& cut) {
  if (resolver.servers.size() > kMaxNameServers) {
    resolver.servers.resize(kMaxNameServers);
    cut.emplace_back("Nameserver limits were exceeded, some nameservers have been omitted");
  }
  std::size_t length = 0;
  std::size_t kept = 0;
  for (const auto& search : resolver.searches) {
    length += search.size() + (kept > 0 ? 1 : 0);
    if (kept == kMaxSearches || length > kMaxSearchLength) break;
    ++kept;
  }
  if (kept < resolver.searches.size()) {
    resolver.searches.resize(kept);
    cut.emplace_back("Search Line limits were exceeded, some search paths have been omitted");
  }
}

// The same file format back.
std::string write_resolver(const Resolver& resolver) {
  std::string text;
  for (const auto& server : resolver.servers) text += "nameserver " + server + "\n";
  if (!resolver.searches.empty()) {
    text += "search";
    for (const auto& search : resolver.searches) text += " " + search;
    text += "\n";
  }
  if (!resolver.options.empty()) {
    text += "options";
    for (const auto& [name, value] : resolver.options) {
      text += " " + name + (value ? ":" + *value : "");
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::string get_hostname(const Pod& pod, const std::string& node_name) {
  if (pod.spec.host_network) return node_name;
  std::string name = pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname;
  name = name.substr(0, kMaxHostname);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string make_hosts_file(const Pod& pod, const std::string& address, const std::string& hostname,
                            std::string_view node_hosts) {
  std::string text;
  if (pod.spec.host_network) {
    text = "# The node's hosts file, kept by moored.\n" + std::string(node_hosts);
    if (!text.empty() && text.back() != '\n') text += "\n";
  } else {
    text =
        "# Kubernetes-managed hosts file, kept by moored.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n";
    text += address + "\t";
    if (!pod.spec.subdomain.empty()) {
      text += hostname + "." + pod.spec.subdomain + "." + pod.metadata.namespace_name +
              ".svc.cluster.local\t";
    }
    text += hostname + "\n";
  }
  if (pod.spec.host_aliases.empty()) return text;
  text += "\n# Entries added by HostAliases.\n";
  for (const auto& alias : pod.spec.host_aliases) {
    text += alias.ip;
    for (const auto& name : alias.hostnames) text += "\t" + name;
    text += "\n";
  }
  return text;
}

ResolverFile make_resolver_file(const Pod& pod, std::string_view node_resolv_conf) {
  ResolverFile file;
  const std::string policy = pod.spec.dns_policy.empty() ? "ClusterFirst" : pod.spec.dns_policy;
  Resolver resolver;
  if (policy != "None") resolver = parse_resolver(node_resolv_conf);
  const bool cluster = policy == "ClusterFirst" && !pod.spec.host_network;
  file.fell_back = cluster || policy == "ClusterFirstWithHostNet";
  if (pod.spec.dns_config) {
    const PodDnsConfig& config = *pod.spec.dns_config;
    for (const auto& server : config.nameservers) add_once(resolver.servers, server);
    for (const auto& search : config.searches) add_once(resolver.searches, search);
    for (const auto& option : config.options) add_option(resolver, option.name, option.value);
  }
  cut_to_limits(resolver, file.cut);
  file.text = write_resolver(resolver);
  return file;
}

}  // namespace moored::agent
