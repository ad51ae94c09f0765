#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

// "5h" or, with a rest, "5h10m".
std::string two_units(std::int64_t big, std::string_view big_unit, std::int64_t small,
                      std::string_view small_unit) {
  auto out = std::to_string(big).append(big_unit);
  return small == 0 ? out : out + std::to_string(small).append(small_unit);
}

// As a label selector in a query writes it.
std::string requirement_text(const LabelSelectorRequirement& requirement) {
  const auto values = [&] {
    return "(" + joined(requirement.values, ",", [](const auto& v) { return v; }) + ")";
  };
  if (requirement.operation == "In") return requirement.key + " in " + values();
  if (requirement.operation == "NotIn") return requirement.key + " notin " + values();
  return (requirement.operation == "DoesNotExist" ? "!" : "") + requirement.key;
}

}  // namespace

std::string human_duration(Duration duration) {
  const std::int64_t s = std::chrono::floor<std::chrono::seconds>(duration).count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 120) return std::to_string(s) + "s";
  const auto m = s / 60;
  if (m < 10) return two_units(m, "m", s % 60, "s");
  if (m < 180) return std::to_string(m) + "m";
  const auto h = m / 60;
  if (h < 8) return two_units(h, "h", m % 60, "m");
  if (h < 48) return std::to_string(h) + "h";
  const auto d = h / 24;
  if (h < 192) return two_units(d, "d", h % 24, "h");
  constexpr std::int64_t kYear = 365;
  if (d < 2 * kYear) return std::to_string(d) + "d";
  if (d < 8 * kYear) return two_units(d / kYear, "y", d % kYear, "d");
  return std::to_string(d / kYear) + "y";
}

std::string age_text(const std::optional<Time>& time, Time now) {
  return time ? human_duration(now - *time) : std::string(kUnknownText);
}

std::string first_three(const std::vector<std::string>& texts) {
  constexpr std::size_t kShown = 3;
  const auto end = texts.begin() +
                   static_cast<std::ptrdiff_t>(std::min(kShown, texts.size()));
  auto out = joined(std::vector<std::string>(texts.begin(), end), ",",
                    [](const auto& text) { return text; });
  if (texts.size() > kShown) out += " + " + std::to_string(texts.size() - kShown) + " more...";
  return out;
}

std::string labels_text(const Labels& labels) {
  return joined(labels, ",", [](const auto& label) { return label.first + "=" + label.second; });
}

void add_template_cells(const PodTemplateSpec& pod_template, const std::string& selector,
                        std::vector<Cell>& cells) {
  const auto& containers = pod_template.spec.containers;
  cells.push_back(Cell::of(joined(containers, ",", [](const auto& c) { return c.name; })));
  cells.push_back(Cell::of(joined(containers, ",", [](const auto& c) { return c.image; })));
  cells.push_back(Cell::of(selector));
}

std::string selector_text(const LabelSelector& selector) {
  auto out = labels_text(selector.match_labels);
  const auto expressions = joined(selector.match_expressions, ",", &requirement_text);
  if (!out.empty() && !expressions.empty()) out += ",";
  out += expressions;
  return out.empty() ? std::string(kNoneText) : out;
}

}  // namespace moored
