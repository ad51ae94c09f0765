#include "net/pod/node_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace moored::net {
namespace {

// A transaction that removes a table whether or not it exists.
std::string render_removal(std::string_view table) {
  return fmt::format("add table ip {0}\ndelete table ip {0}\n", table);
}

std::string render_refusals(const NodeRuleOptions& options, const std::string& links) {
  if (options.refused_ports.empty()) return {};
  std::string ports;
  for (const int port : options.refused_ports) {
    ports += (ports.empty() ? "" : ", ") + std::to_string(port);
  }
  return fmt::format(
      "  chain node {{\n"
      "    type filter hook input priority filter; policy accept;\n"
      "    iifname \"{}\" tcp dport {{ {} }} reject with tcp reset\n"
      "  }}\n",
      links, ports);
}

// The text between the first pair of double quotes of a line.
std::string quoted(std::string_view line) {
  const auto begin = line.find('"');
  if (begin == std::string_view::npos) return {};
  const auto end = line.find('"', begin + 1);
  if (end == std::string_view::npos) return {};
  return std::string(line.substr(begin + 1, end - begin - 1));
}

// Collects every quoted word of a line.
void collect_quoted(std::string_view line, std::set<std::string>& words) {
  for (auto begin = line.find('"'); begin != std::string_view::npos; begin = line.find('"')) {
    const auto end = line.find('"', begin + 1);
    if (end == std::string_view::npos) return;
    words.emplace(line.substr(begin + 1, end - begin - 1));
    line.remove_prefix(end + 1);
  }
}

// Reads "pods A/B services C/D", as the comment of an instance's chain has it.
bool parse_claim(const std::string& comment, NodeClaim& claim) {
  std::istringstream words(comment);
  std::string pods_word, pods, services_word, services;
  words >> pods_word >> pods >> services_word >> services;
  const auto first = parse_prefix(pods);
  const auto second = parse_prefix(services);
  if (!first || !second) return false;
  claim = {*first, *second};
  return true;
}

constexpr std::string_view kClaimChain = "instance_";

}  // namespace

std::string pod_table(const std::string& instance) {
  return "moored_" + instance;
}
std::string link_prefix(const std::string& instance) {
  return "m" + instance;
}

std::string render_node_rules(const NodeRuleOptions& options) {
  const auto table = pod_table(options.instance);
  const auto links = link_prefix(options.instance) + '*';
  const auto pods = format(options.pods);
  return render_removal(table) +
         fmt::format(
             "table ip {table} {{\n"
             "  chain guard {{\n"
             "    type filter hook prerouting priority raw; policy accept;\n"
             "    iifname \"{links}\" ip daddr 127.0.0.0/8 drop\n"
             "    iifname \"{links}\" fib saddr . iif oif missing drop\n"
             "  }}\n"
             "{refusals}"
             "  chain outside {{\n"
             "    type nat hook postrouting priority srcnat; policy accept;\n"
             "    ip saddr {pods} ip daddr != {pods} ip daddr != {services}"
             " masquerade fully-random\n"
             "  }}\n"
             "}}\n",
             fmt::arg("table", table), fmt::arg("links", links),
             fmt::arg("refusals", render_refusals(options, links)), fmt::arg("pods", pods),
             fmt::arg("services", format(options.services)));
}

SharedState parse_shared(std::string_view listing) {
  SharedState state;
  std::istringstream lines{std::string(listing)};
  std::string block;  // name of the set or chain that the line lies in
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, name;
    words >> word >> name;
    if (word == "set" || word == "chain") {
      block = name;
    } else if (block == "opened" && line.find("type") == std::string::npos) {
      collect_quoted(line, state.opened);
    } else if (word == "comment" && block.rfind(kClaimChain, 0) == 0) {
      NodeClaim claim;
      if (parse_claim(quoted(line), claim)) {
        state.claims[block.substr(kClaimChain.size())] = claim;
      }
    }
    if (word == "}") block.clear();
  }
  return state;
}

std::string render_shared(const SharedState& state) {
  std::string out = render_removal(kSharedTable);
  if (state.claims.empty()) return out;
  out += fmt::format("table ip {} {{\n  set opened {{\n    type ifname\n", kSharedTable);
  if (!state.opened.empty()) {
    std::string names;
    for (const auto& name : state.opened)
      names += (names.empty() ? "\"" : ", \"") + name + '"';
    out += "    elements = { " + names + " }\n";
  }
  out += "  }\n";
  for (const auto& [instance, claim] : state.claims) {
    out += fmt::format("  chain {}{} {{\n    comment \"pods {} services {}\"\n  }}\n", kClaimChain,
                       instance, format(claim.pods), format(claim.services));
  }
  out +=
      "  chain forward {\n"
      "    type filter hook forward priority filter - 10; policy accept;\n"
      "    iifname @opened oifname @opened drop\n"
      "  }\n"
      "}\n";
  return out;
}

bool is_plain_link_name(std::string_view name) {
  return !name.empty() && name.size() <= 15 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace moored::net
