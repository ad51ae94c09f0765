#include "net/api/metrics_text.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace moored::net::api {
namespace {

constexpr std::string_view type_word(MetricType type) {
  switch (type) {
    case MetricType::counter:
      return "counter";
    case MetricType::gauge:
      return "gauge";
    case MetricType::histogram:
      return "histogram";
  }
  return "untyped";
}

// A line feed would end the line, a backslash starts an escape; quotes matter in labels alone.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (quotes && c == '"')) {
      out.push_back('\\');
      out.push_back(c);
    } else {
      out.push_back(c);
    }
  }
}

// The shortest text that reads back as the same number, whatever the locale.
void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
  }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  out += out.back() == '{' ? "" : ",";
  out.append(name).append("=\"");
  append_escaped(out, value, true);
  out.push_back('"');
}

void append_labels(std::string& out, const MetricLabels& labels, const double* bound = nullptr) {
  if (labels.empty() && bound == nullptr) return;
  out.push_back('{');
  for (const auto& [name, value] : labels)
    append_label(out, name, value);
  if (bound != nullptr) {
    std::string text;
    append_number(text, *bound);
    append_label(out, "le", text);
  }
  out.push_back('}');
}

void append_value(std::string& out, double value) {
  out.push_back(' ');
  append_number(out, value);
  out.push_back('\n');
}

// Buckets are written as sums of all below, as the format wants them.
void append_distribution(std::string& out, const std::string& name, const MetricDistribution& one) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < one.counts.size(); ++i) {
    below += one.counts[i];
    const double bound = i < one.bounds.size() ? one.bounds[i] : HUGE_VAL;
    out.append(name).append("_bucket");
    append_labels(out, one.labels, &bound);
    append_value(out, static_cast<double>(below));
  }
  out.append(name).append("_sum");
  append_labels(out, one.labels);
  append_value(out, one.sum);
  out.append(name).append("_count");
  append_labels(out, one.labels);
  append_value(out, static_cast<double>(below));
}

}  // namespace

std::string write_metrics(const std::vector<MetricFamily>& families) {
  std::string out;
  for (const auto& family : families) {
    if (family.samples.empty() && family.distributions.empty()) continue;
    out.append("# HELP ").append(family.name).append(" ");
    append_escaped(out, family.help, false);
    out.append("\n# TYPE ").append(family.name).append(" ");
    out.append(type_word(family.type)).append("\n");
    for (const auto& sample : family.samples) {
      out += family.name;
      append_labels(out, sample.labels);
      append_value(out, sample.value);
    }
    for (const auto& one : family.distributions)
      append_distribution(out, family.name, one);
  }
  return out;
}

}  // namespace moored::net::api
