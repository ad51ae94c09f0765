#include "net/api/selector.hpp"

#include <algorithm>

#include "schema/model/grammar.hpp"

namespace moored::net::api {
namespace {

// The slash parts a key's prefix from its name; everything else ends a word.
bool is_label_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '/';
}

// Words and signs of a labelSelector, one after another.
class LabelScanner {
 public:
  explicit LabelScanner(std::string_view text) : rest_(text) {}

  bool done() {
    skip_space();
    return rest_.empty();
  }
  // Takes the sign when it comes next.
  bool take(std::string_view sign) {
    skip_space();
    if (rest_.substr(0, sign.size()) != sign) return false;
    rest_.remove_prefix(sign.size());
    return true;
  }
  // Takes a key, a value or a keyword; empty when none comes next.
  std::string take_word() {
    skip_space();
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_label_char);
    std::string word(rest_.begin(), end);
    rest_.remove_prefix(word.size());
    return word;
  }

 private:
  void skip_space() {
    while (!rest_.empty() && rest_.front() == ' ')
      rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

// Says all forms at once: the scanner does not know which one was meant.
Unexpected bad_labels() {
  return fail(Code::invalid,
              "unable to parse requirement: labelSelector takes k=v, k!=v, k in (a,b), "
              "k notin (a,b), k and !k, joined by commas");
}

// An empty value is a value: "k in (,a)" also takes objects whose k is empty.
Result<std::vector<std::string>> take_set(LabelScanner& scanner) {
  if (!scanner.take("(")) return bad_labels();
  std::vector<std::string> values;
  do {
    values.push_back(scanner.take_word());
  } while (scanner.take(","));
  if (!scanner.take(")")) return bad_labels();
  return values;
}

// Longer signs are tried before their beginnings: "!=" before "=", "==" before "=".
Result<LabelTerm> take_term(LabelScanner& scanner) {
  using Operation = LabelTerm::Operation;
  LabelTerm term;
  const bool negated = scanner.take("!");
  term.key = scanner.take_word();
  if (term.key.empty()) return bad_labels();
  if (negated) {
    term.operation = Operation::absent;
    return term;
  }
  if (scanner.take("!=")) {
    term.operation = Operation::not_in;
    term.values.push_back(scanner.take_word());
    return term;
  }
  if (scanner.take("==") || scanner.take("=")) {
    term.operation = Operation::in;
    term.values.push_back(scanner.take_word());
    return term;
  }
  const auto word = scanner.take_word();
  if (word.empty()) return term;
  if (word != "in" && word != "notin") return bad_labels();
  term.operation = word == "in" ? Operation::in : Operation::not_in;
  MOORED_TRY(term.values, take_set(scanner));
  return term;
}

// What no object can carry is a mistake, and not a question without an answer.
Status check_term(const LabelTerm& term) {
  if (auto error = check_label_key(term.key)) {
    return Unexpected(std::move(*error).context("labelSelector"));
  }
  for (const auto& value : term.values) {
    if (auto error = check_label_value(value)) {
      return Unexpected(std::move(*error).context("labelSelector"));
    }
  }
  return {};
}

// An absent key is not in any set, so notin holds for it, as in Kubernetes.
bool holds(const LabelTerm& term, const Labels& have) {
  using Operation = LabelTerm::Operation;
  const auto it = have.find(term.key);
  const bool present = it != have.end();
  const bool listed =
      present && std::find(term.values.begin(), term.values.end(), it->second) != term.values.end();
  switch (term.operation) {
    case Operation::in:
      return listed;
    case Operation::not_in:
      return !listed;
    case Operation::exists:
      return present;
    case Operation::absent:
      return !present;
  }
  return false;
}

// Takes one comma-separated part; a backslash keeps the next character from separating.
std::string_view take_part(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && text[end] != ',')
    end += text[end] == '\\' ? 2 : 1;
  end = std::min(end, text.size());
  const auto part = text.substr(0, end);
  text = end < text.size() ? text.substr(end + 1) : std::string_view{};
  return part;
}

// Undoes the backslashes in a value; false when one stands before anything but \ , =.
bool unescape(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
      if (i == text.size() || (text[i] != '\\' && text[i] != ',' && text[i] != '=')) return false;
    }
    out.push_back(text[i]);
  }
  return true;
}

// The name under which the stored kind knows a path of the resource.
std::string stored_path(const Resource& resource, std::string_view path) {
  constexpr std::string_view kRegarding = "regarding.";
  std::string out(path);
  if (resource.rewrite == Rewrite::event && path.substr(0, kRegarding.size()) == kRegarding) {
    out = "involvedObject." + std::string(path.substr(kRegarding.size()));
  }
  if (resource.rewrite == Rewrite::event && path == "reportingController") {
    out = "reportingComponent";
  }
  return out;
}

// "!=" shows as a path ending in "!", since the text is cut at the first "=".
Result<FieldTerm> parse_field_term(const Resource& resource, std::string_view part) {
  const auto equals = part.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return fail(Code::invalid, "invalid field selector: " + std::string(part) +
                                   "; can't understand '" + std::string(part) + "'");
  }
  FieldTerm term;
  auto path = part.substr(0, equals);
  auto value = part.substr(equals + 1);
  if (path.back() == '!') {
    term.equal = false;
    path.remove_suffix(1);
  } else if (!value.empty() && value.front() == '=') {
    value.remove_prefix(1);
  }
  if (!unescape(value, term.value)) {
    return fail(Code::invalid,
                "invalid field selector: bad escape in the value of " + std::string(path));
  }
  term.path = stored_path(resource, path);
  if (term.path == "metadata.name" || (term.path == "metadata.namespace" && resource.namespaced)) {
    return term;
  }
  const auto& known = resource.stored->selectable;
  const auto it = std::find(known.begin(), known.end(), term.path);
  if (it == known.end()) {
    return fail(Code::invalid, "field label not supported: " + std::string(path));
  }
  term.index = static_cast<int>(it - known.begin());
  return term;
}

}  // namespace

bool Selection::needs_encoding() const {
  return std::any_of(fields.begin(), fields.end(), [](const FieldTerm& t) { return t.index >= 0; });
}

bool Selection::matches_labels(const Labels& have) const {
  return std::all_of(labels.begin(), labels.end(),
                     [&](const LabelTerm& term) { return holds(term, have); });
}

bool Selection::matches_fields(const Object& object, const Encoded* encoded) const {
  const auto& meta = object.meta();
  return std::all_of(fields.begin(), fields.end(), [&](const FieldTerm& term) {
    // Name and namespace are read from the object itself, so most lists need no encoding.
    const auto& have = term.index >= 0
                           ? encoded->selectable[static_cast<std::size_t>(term.index)]
                           : (term.path == "metadata.name" ? meta.name : meta.namespace_name);
    return (have == term.value) == term.equal;
  });
}

Result<std::vector<LabelTerm>> parse_label_selector(std::string_view text) {
  LabelScanner scanner(text);
  std::vector<LabelTerm> terms;
  if (scanner.done()) return terms;
  do {
    MOORED_TRY(auto term, take_term(scanner));
    MOORED_CHECK(check_term(term));
    terms.push_back(std::move(term));
  } while (scanner.take(","));
  if (!scanner.done()) return bad_labels();
  return terms;
}

Result<std::vector<FieldTerm>> parse_field_selector(const Resource& resource,
                                                    std::string_view text) {
  std::vector<FieldTerm> terms;
  while (!text.empty()) {
    const auto part = take_part(text);
    if (part.empty()) continue;
    MOORED_TRY(auto term, parse_field_term(resource, part));
    terms.push_back(std::move(term));
  }
  return terms;
}

}  // namespace moored::net::api
