// Reads the text format of Prometheus strictly and names every breach of its conventions.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace moored::test {

// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and practices/naming/.
class MetricRules {
 public:
  explicit MetricRules(const std::string& text) {
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line))
      take(line);
    if (!text.empty() && text.back() != '\n') breach("the last line has no end");
    finish_family();
  }

  // Empty when all is well.
  const std::vector<std::string>& breaches() const { return breaches_; }
  // The value of one series, written as it stands in the text; NaN when there is none.
  double value(const std::string& series) const {
    const auto at = values_.find(series);
    return at != values_.end() ? at->second : std::nan("");
  }

 private:
  void breach(const std::string& what) { breaches_.push_back(family_ + ": " + what); }

  void take(const std::string& line) {
    static const std::regex help(R"(# HELP ([a-z_][a-z0-9_]*) (\S.*\S))");
    static const std::regex type(R"(# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram))");
    static const std::regex sample(
        R"re(([a-z_][a-z0-9_]*)(\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+))re");
    std::smatch found;
    if (std::regex_match(line, found, help)) return begin_family(found[1]);
    if (std::regex_match(line, found, type)) return set_type(found[1], found[2]);
    if (!std::regex_match(line, found, sample)) return breach("not a line: " + line);
    take_sample(found[1], found[3], found[2], found[4]);
  }

  void begin_family(const std::string& name) {
    finish_family();
    family_ = name;
    type_.clear();
    if (!families_.insert(name).second) breach("told twice");
    static const std::regex short_unit("_(ms|us|ns|kb|mb|kib|mib|sec|secs|msec|percent)(_|$)");
    if (std::regex_search(name, short_unit)) breach("is not in a base unit");
  }

  void set_type(const std::string& name, const std::string& type) {
    if (name != family_) breach("TYPE of " + name + " without its HELP");
    type_ = type;
    const bool total = ends_with(name, "_total");
    if (total != (type == "counter")) breach("_total is for counters and all of them");
    for (const char* end : {"_count", "_sum", "_bucket"}) {
      if (ends_with(name, end)) breach("the name ends like a part of a histogram");
    }
    if (name.find(type) != std::string::npos) breach("the type is in the name");
  }

  void take_sample(const std::string& name, const std::string& labels, const std::string& braces,
                   const std::string& number) {
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    if (*end != '\0') breach("not a number: " + number);
    if (!values_.emplace(name + braces, value).second) breach("a series twice: " + name + braces);
    if (type_ != "gauge" && value < 0) breach("counts below zero");
    if (type_ != "histogram") {
      if (name != family_) breach("a sample of " + name);
      if (labels.find("le=") != std::string::npos) breach("le is for buckets");
      return;
    }
    static const std::regex bound(R"re((.*?),?le="([^"]+)",?)re");
    std::smatch found;
    if (name == family_ + "_bucket" && std::regex_match(labels, found, bound)) {
      auto& buckets = buckets_[found[1]];
      const double upper = std::strtod(found[2].str().c_str(), nullptr);
      if (!buckets.empty() && (buckets.back().first >= upper || buckets.back().second > value)) {
        breach("buckets do not rise");
      }
      buckets.emplace_back(upper, value);
    } else if (name == family_ + "_count") {
      counts_[labels] = value;
    } else if (name != family_ + "_sum") {
      breach("a sample of " + name);
    }
  }

  void finish_family() {
    if (!family_.empty() && type_.empty()) breach("no TYPE");
    if (buckets_.size() != counts_.size()) breach("buckets without a count");
    for (const auto& [labels, buckets] : buckets_) {
      const bool all = std::isinf(buckets.back().first) && counts_[labels] == buckets.back().second;
      if (!all) breach("the last bucket does not hold all");
    }
    buckets_.clear();
    counts_.clear();
  }

  static bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
  }

  std::string family_;
  std::string type_;
  std::set<std::string> families_;
  std::map<std::string, double> values_;
  std::map<std::string, std::vector<std::pair<double, double>>> buckets_;  // of this family
  std::map<std::string, double> counts_;
  std::vector<std::string> breaches_;
};

}  // namespace moored::test
