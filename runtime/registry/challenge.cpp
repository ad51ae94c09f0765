#include "runtime/registry/challenge.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

#include "schema/codec/text.hpp"

namespace moored::registry {
namespace {

// Longer ones are cut: the texts are a stranger's and end up in statuses.
constexpr std::size_t kMaxWords = 256;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Reads scheme name=value, name="value", … from one header.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void read(std::vector<Challenge>& out) {
    while (skip(), !rest_.empty()) {
      const auto word = take_token();
      if (word.empty()) return;  // nothing that the grammar knows
      skip_blanks();
      // A word without '=' starts the next challenge; with one it belongs to the last.
      if (rest_.empty() || rest_.front() != '=') {
        out.push_back({lower(word), {}, {}, {}});
        continue;
      }
      rest_.remove_prefix(1);
      const auto value = take_value();
      if (!value || out.empty()) return;
      put(out.back(), lower(word), *value);
    }
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
      rest_.remove_prefix(1);
    }
  }
  void skip() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' ||
                              rest_.front() == ',')) {
      rest_.remove_prefix(1);
    }
  }
  std::string take_token() {
    std::size_t size = 0;
    while (size < rest_.size() && std::string_view(" \t,=\"").find(rest_[size]) ==
                                      std::string_view::npos) {
      ++size;
    }
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  // A quoted text with its escapes, or a token. Nothing: the quote never ends.
  std::optional<std::string> take_value() {
    skip_blanks();
    if (rest_.empty() || rest_.front() != '"') return take_token();
    std::string out;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return out;
      }
      if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
      out += rest_[i];
    }
    return std::nullopt;
  }
  static void put(Challenge& challenge, const std::string& name, const std::string& value) {
    if (name == "realm") challenge.realm = value;
    if (name == "service") challenge.service = value;
    if (name == "scope") challenge.scope = value;
  }

  std::string_view rest_;
};

}  // namespace

std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers) {
  std::vector<Challenge> out;
  for (const auto& header : headers) Reader(header).read(out);
  return out;
}

std::string read_error_words(std::string_view body) {
  const auto value = read_json(body);
  if (!value || !value->is_map()) return {};
  const auto* errors = value->find("errors");
  if (errors == nullptr || !errors->is_list() || errors->items.empty()) return {};
  const auto& first = errors->items.front();
  const auto text = [&](const char* key) {
    const auto* member = first.find(key);
    return member == nullptr ? std::string() : member->scalar;
  };
  const auto code = text("code");
  const auto message = text("message");
  auto words = code + (code.empty() || message.empty() ? "" : ": ") + message;
  std::replace_if(words.begin(), words.end(), [](unsigned char c) { return c < 32 || c == 127; },
                  ' ');
  return words.substr(0, kMaxWords);
}

}  // namespace moored::registry
