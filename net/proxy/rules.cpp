#include "net/proxy/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>

#include "schema/host/sha256.hpp"

namespace moored::net {
namespace {

// nft takes at most 128 bytes; labels are names that were checked, and are checked again here.
constexpr std::size_t kMaxComment = 120;

std::string make_comment(std::string_view label) {
  std::string out;
  for (const char c : label.substr(0, kMaxComment)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '/' || c == ':' || c == '_';
    out += plain ? c : '_';
  }
  return out;
}

// Chance spreads connections; a sticky Service goes by the client's address instead.
std::string render_dispatch(const VirtualPort& port) {
  std::string map;
  for (std::size_t i = 0; i < port.backends.size(); ++i) {
    const auto& backend = port.backends[i];
    map +=
        fmt::format("{}{} : {} . {}", i == 0 ? "" : ", ", i, format(backend.address), backend.port);
  }
  return fmt::format("meta l4proto {} dnat ip to {} mod {} map {{ {} }}", port.protocol,
                     port.sticky ? "jhash ip saddr" : "numgen random", port.backends.size(), map);
}

using Elements = std::map<std::string, std::string>;  // key text to verdict text

// Services without backends have no element and fall through to the chains that refuse.
Elements address_elements(const ServiceTable& services) {
  Elements out;
  for (const auto& [key, port] : services) {
    if (port.backends.empty() || port.port == 0) continue;
    out[fmt::format("{} . {} . {}", format(port.address), port.protocol, port.port)] =
        "goto " + service_chain_name(key);
  }
  return out;
}

// Keyed without an address: a node port answers on every address of the machine.
Elements node_elements(const ServiceTable& services) {
  Elements out;
  for (const auto& [key, port] : services) {
    if (port.backends.empty() || port.node_port == 0) continue;
    out[fmt::format("{} . {}", port.protocol, port.node_port)] = "goto " + service_chain_name(key);
  }
  return out;
}

// A backend that calls its own Service must see the node as the caller.
Elements hairpin_elements(const ServiceTable& services) {
  Elements out;
  for (const auto& [key, port] : services) {
    for (const auto& backend : port.backends) {
      out[format(backend.address) + " . " + format(backend.address)] = {};
    }
  }
  return out;
}

// Elements are sorted by key, so the same Services always give the same text.
std::string join(const Elements& elements) {
  std::string out;
  for (const auto& [key, verdict] : elements) {
    out += (out.empty() ? "" : ", ") + key + (verdict.empty() ? "" : " : " + verdict);
  }
  return out;
}

// Nothing for no elements: nft takes an empty pair of braces for a mistake.
std::string render_elements(std::string_view verb, std::string_view table, std::string_view set,
                            const Elements& elements) {
  if (elements.empty()) return {};
  return fmt::format("{} element ip {} {} {{ {} }}\n", verb, table, set, join(elements));
}

// The rows of a that are not in b (or lead elsewhere there).
Elements difference(const Elements& a, const Elements& b) {
  Elements out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(out, out.end()));
  return out;
}

// The part that is the same for every set of Services.
std::string render_frame(const std::string& table, const RuleOptions& options) {
  return fmt::format(
      "table ip {table} {{\n"
      "  map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}\n"
      "  map nodeports {{ type inet_proto . inet_service : verdict; }}\n"
      "  set hairpin {{ type ipv4_addr . ipv4_addr; }}\n"
      "  chain refuse {{\n"
      "    meta l4proto tcp reject with tcp reset\n"
      "    reject with icmp port-unreachable\n"
      "  }}\n"
      "  chain prerouting {{\n"
      "    type nat hook prerouting priority dstnat; policy accept;\n"
      "    ip daddr . meta l4proto . th dport vmap @services\n"
      "    fib daddr type local meta l4proto . th dport vmap @nodeports\n"
      "  }}\n"
      "  chain output {{\n"
      "    type nat hook output priority -100; policy accept;\n"
      "    ip daddr . meta l4proto . th dport vmap @services\n"
      "    fib daddr type local meta l4proto . th dport vmap @nodeports\n"
      "  }}\n"
      "  chain postrouting {{\n"
      "    type nat hook postrouting priority srcnat - 5; policy accept;\n"
      "    ip saddr . ip daddr @hairpin masquerade\n"
      "    ip saddr 127.0.0.0/8 oifname \"{links}*\" masquerade\n"
      "  }}\n"
      "  chain refuse_forward {{\n"
      "    type filter hook forward priority filter - 5; policy accept;\n"
      "    ip daddr {services} goto refuse\n"
      "  }}\n"
      "  chain refuse_output {{\n"
      "    type filter hook output priority filter - 5; policy accept;\n"
      "    ip daddr {services} goto refuse\n"
      "  }}\n"
      "}}\n",
      fmt::arg("table", table), fmt::arg("services", format(options.services)),
      fmt::arg("links", "m" + options.instance));
}

// The comment tells people reading `nft list` which Service a hashed chain name stands for.
std::string render_chain(const std::string& table, const std::string& key,
                         const VirtualPort& port) {
  const auto chain = service_chain_name(key);
  return fmt::format("add chain ip {0} {1} {{ comment \"{2}\"; }}\nadd rule ip {0} {1} {3}\n",
                     table, chain, make_comment(port.label), render_dispatch(port));
}

// A Service port without backends needs no chain: nothing leads to it.
bool has_chain(const ServiceTable& services, const std::string& key) {
  const auto found = services.find(key);
  return found != services.end() && !found->second.backends.empty();
}

// Chains that are new or hold other backends than before.
std::string render_chains(const ServiceTable& before, const ServiceTable& after,
                          const std::string& table) {
  std::string out;
  for (const auto& [key, port] : after) {
    if (port.backends.empty()) continue;
    if (!has_chain(before, key)) {
      out += render_chain(table, key, port);
      continue;
    }
    const auto rule = render_dispatch(port);
    if (rule == render_dispatch(before.at(key))) continue;
    out += fmt::format("flush chain ip {0} {1}\nadd rule ip {0} {1} {2}\n", table,
                       service_chain_name(key), rule);
  }
  return out;
}

// Backends are kept sorted by the table that plans them.
bool is_backend(const VirtualPort& port, Ipv4 address, std::uint16_t number) {
  return std::binary_search(port.backends.begin(), port.backends.end(), Backend{address, number});
}

// UDP only: TCP clients of an endpoint that is gone notice it, tracked UDP flows go on to
// it.
const VirtualPort* find_udp(const ServiceTable& services, const std::string& key) {
  const auto found = services.find(key);
  return found == services.end() || found->second.protocol != "udp" ? nullptr : &found->second;
}

// Judges a flow by one Service port that changed.
bool is_stale_for(const Flow& flow, const VirtualPort& port, const VirtualPort* after) {
  const bool addressed =
      port.port != 0 && flow.destination == port.address && flow.destination_port == port.port;
  const bool by_node = port.node_port != 0 && flow.destination_port == port.node_port &&
                       flow.answerer != flow.destination;
  if (!addressed && !by_node) return false;
  return after == nullptr || !is_backend(*after, flow.answerer, flow.answerer_port);
}

}  // namespace

// One table for each instance, so that several daemons on a machine leave each other alone.
std::string service_table_name(const std::string& instance) {
  return "moored_" + instance + "_services";
}

// Hashed, as nft names are limited and take fewer characters than keys hold.
std::string service_chain_name(std::string_view key) {
  return "svc_" + sha256_hex(key).substr(0, 16);
}

// Added before it is deleted, because deleting a table that is not there is an error.
std::string render_removal(const RuleOptions& options) {
  return fmt::format("add table ip {0}\ndelete table ip {0}\n",
                     service_table_name(options.instance));
}

// Removal and new rules go in one transaction: no packet sees the time between.
std::string render_rules(const ServiceTable& services, const RuleOptions& options) {
  const auto table = service_table_name(options.instance);
  std::string out = render_removal(options) + render_frame(table, options);
  out += render_change({}, services, options);
  return out;
}

// Elements go before the chains that they lead to, and come after them: the kernel refuses
// to delete a chain in use.
std::string render_change(const ServiceTable& before, const ServiceTable& after,
                          const RuleOptions& options) {
  const auto table = service_table_name(options.instance);
  const auto old_addresses = address_elements(before);
  const auto new_addresses = address_elements(after);
  const auto old_nodes = node_elements(before);
  const auto new_nodes = node_elements(after);
  const auto old_hairpin = hairpin_elements(before);
  const auto new_hairpin = hairpin_elements(after);
  std::string out;
  out += render_elements("delete", table, "services", difference(old_addresses, new_addresses));
  out += render_elements("delete", table, "nodeports", difference(old_nodes, new_nodes));
  out += render_elements("delete", table, "hairpin", difference(old_hairpin, new_hairpin));
  out += render_chains(before, after, table);
  // An element can lead to a chain only once the chain exists.
  out += render_elements("add", table, "services", difference(new_addresses, old_addresses));
  out += render_elements("add", table, "nodeports", difference(new_nodes, old_nodes));
  out += render_elements("add", table, "hairpin", difference(new_hairpin, old_hairpin));
  for (const auto& [key, port] : before) {
    if (!has_chain(before, key) || has_chain(after, key)) continue;
    const auto chain = service_chain_name(key);
    out += fmt::format("flush chain ip {0} {1}\ndelete chain ip {0} {1}\n", table, chain);
  }
  return out;
}

// By block, so that one changed Service is one difference and not a changed table.
std::map<std::string, std::string> split_listing(std::string_view listing) {
  std::map<std::string, std::string> blocks;
  std::istringstream lines{std::string(listing)};
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, second;
    words >> first >> second;
    if (first == "chain" || first == "map" || first == "set") {
      name = first + ' ' + second;
    } else if (!name.empty() && first == "}") {
      name.clear();
    } else if (!name.empty()) {
      blocks[name] += line + '\n';
      continue;
    }
    if (!name.empty()) blocks[name];
  }
  return blocks;
}

bool is_stale(const Flow& flow, const ServiceTable& before, const ServiceTable& after) {
  // IPPROTO_UDP.
  if (flow.protocol != 17) return false;
  for (const auto& [key, port] : before) {
    const auto* now = find_udp(after, key);
    if (port.protocol == "udp" && (now == nullptr || !(*now == port)) &&
        is_stale_for(flow, port, now)) {
      return true;
    }
  }
  for (const auto& [key, port] : after) {
    if (port.protocol == "udp" && find_udp(before, key) == nullptr &&
        is_stale_for(flow, port, &port)) {
      return true;
    }
  }
  return false;
}

// Asked first, because reading all tracked flows is dear and most changes are TCP only.
bool has_udp_change(const ServiceTable& before, const ServiceTable& after) {
  const auto changed = [](const ServiceTable& a, const ServiceTable& b) {
    return std::any_of(a.begin(), a.end(), [&](const auto& row) {
      if (row.second.protocol != "udp") return false;
      const auto* other = find_udp(b, row.first);
      return other == nullptr || !(*other == row.second);
    });
  };
  return changed(before, after) || changed(after, before);
}

// A backend that is no longer there must not get another connection; a new one can wait.
bool takes_away(const ServiceTable& before, const ServiceTable& after) {
  return std::any_of(before.begin(), before.end(), [&](const auto& row) {
    const auto now = after.find(row.first);
    if (now == after.end()) return !row.second.backends.empty();
    return !std::includes(now->second.backends.begin(), now->second.backends.end(),
                          row.second.backends.begin(), row.second.backends.end());
  });
}

}  // namespace moored::net
