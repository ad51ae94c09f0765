// Understands the transactions that the proxy renders, so that tests can ask what they lead to.
#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace moored::test {

// One table: its fixed part, its chains with their rules, its sets with their elements.
class RuleModel {
 public:
  // False: nft would refuse it, because something is missing, doubled or still in use.
  bool apply(const std::string& script) {
    RuleModel next = *this;
    std::istringstream lines(script);
    for (std::string line; std::getline(lines, line);) {
      if (!next.apply_line(line)) return false;
    }
    *this = next;
    return true;
  }

  bool empty() const { return frame.empty() && chains.empty(); }
  // In the manner of `nft list table`, in one order whatever the history.
  std::string listing() const {
    if (empty()) return {};
    std::string out = "table {\nchain frame {\n";
    std::istringstream fixed(frame);
    for (std::string line; std::getline(fixed, line);)
      out += "| " + line + '\n';
    out += "}\n";
    for (const auto& [name, rules] : chains) {
      out += "chain " + name + " {\n";
      for (const auto& rule : rules)
        out += rule + '\n';
      out += "}\n";
    }
    for (const auto& [name, elements] : sets) {
      if (elements.empty()) continue;
      out += "set " + name + " {\n";
      for (const auto& element : elements)
        out += element + '\n';
      out += "}\n";
    }
    return out + "}\n";
  }

  std::string frame;
  std::map<std::string, std::vector<std::string>> chains;
  std::map<std::string, std::set<std::string>> sets;

 private:
  bool apply_line(const std::string& line) {
    std::istringstream words(line);
    std::string verb, what, family, table, name;
    words >> verb >> what >> family >> table >> name;
    if (what == "table" && verb == "delete") {
      *this = {};
      return true;
    }
    if (what == "table") return true;
    if (what == "element") return change_elements(verb == "add", name, line);
    if (what == "chain" && verb == "add") return chains.emplace(name, 0).second;
    if (what == "chain" && verb == "flush") {
      if (chains.count(name) == 0) return false;
      chains[name].clear();
      return true;
    }
    if (what == "chain" && verb == "delete") return !is_used(name) && chains.erase(name) == 1;
    if (what == "rule") {
      if (chains.count(name) == 0) return false;
      chains[name].push_back(line.substr(line.find(name) + name.size()));
      return true;
    }
    frame += line + '\n';
    return true;
  }

  bool change_elements(bool add, const std::string& set, const std::string& line) {
    const auto begin = line.find('{') + 2;
    std::istringstream list(line.substr(begin, line.rfind('}') - begin));
    for (std::string element; std::getline(list, element, ',');) {
      const auto first = element.find_first_not_of(' ');
      element = element.substr(first, element.find_last_not_of(' ') - first + 1);
      if (!add && sets[set].erase(element) != 1) return false;
      if (!add) continue;
      if (has_key(set, key_of_element(element)) || !leads_to_chain(element)) return false;
      sets[set].insert(element);
    }
    return true;
  }

  static std::string key_of_element(const std::string& element) {
    return element.substr(0, element.find(" : "));
  }
  bool has_key(const std::string& set, const std::string& key) {
    for (const auto& element : sets[set]) {
      if (key_of_element(element) == key) return true;
    }
    return false;
  }
  bool leads_to_chain(const std::string& element) const {
    const auto at = element.find("goto ");
    return at == std::string::npos || chains.count(element.substr(at + 5)) == 1;
  }
  bool is_used(const std::string& chain) const {
    for (const auto& [name, elements] : sets) {
      for (const auto& element : elements) {
        if (element.find("goto " + chain) != std::string::npos) return true;
      }
    }
    return false;
  }
};

}  // namespace moored::test
