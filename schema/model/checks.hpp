// From plain grammar functions to the Check of a row. Included by the .cpp files that hold rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/model/grammar.hpp"
#include "schema/model/schema.hpp"

namespace moored {

using TextRule = std::optional<Error> (*)(std::string_view);

// A text that may be empty, which means absent.
template <TextRule Rule>
std::optional<Error> text_check(const void* value) {
  const auto& text = *static_cast<const std::string*>(value);
  return text.empty() ? std::nullopt : Rule(text);
}

// A text that must not be empty.
template <TextRule Rule>
std::optional<Error> full_text_check(const void* value) {
  return Rule(*static_cast<const std::string*>(value));
}

// Every text of a list.
template <TextRule Rule>
std::optional<Error> each_check(const void* value) {
  const auto& list = *static_cast<const std::vector<std::string>*>(value);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (auto error = Rule(list[i])) {
      error->place.field = index_path(i);
      return error;
    }
  }
  return std::nullopt;
}

// Every key of a map of texts, and every value where a rule for values is given.
template <TextRule KeyRule, TextRule ValueRule = nullptr>
std::optional<Error> keys_check(const void* value) {
  for (const auto& [key, text] : *static_cast<const std::map<std::string, std::string>*>(value)) {
    auto error = KeyRule(key);
    if constexpr (ValueRule != nullptr) {
      if (!error) error = ValueRule(text);
    }
    if (error) {
      error->place.field = key_path(key);
      return error;
    }
  }
  return std::nullopt;
}

// A number of type Int between two bounds, both included.
template <class Int, Int Low, Int High>
std::optional<Error> range_check(const void* value) {
  const Int number = *static_cast<const Int*>(value);
  if (number >= Low && number <= High) return std::nullopt;
  return invalid_value(std::to_string(number) + " is out of range",
                       "use a number from " + std::to_string(Low) + " to " + std::to_string(High));
}
inline constexpr std::int32_t kMaxInt32 = 2147483647;
inline constexpr std::int64_t kMaxInt64 = 9223372036854775807;
inline constexpr Check kNatural32 = &range_check<std::int32_t, 0, kMaxInt32>;
inline constexpr Check kNatural64 = &range_check<std::int64_t, 0, kMaxInt64>;
inline constexpr Check kPositive32 = &range_check<std::int32_t, 1, kMaxInt32>;
inline constexpr Check kPositive64 = &range_check<std::int64_t, 1, kMaxInt64>;
inline constexpr Check kPort = &range_check<std::int32_t, 1, 65535>;
inline constexpr Check kFileMode = &range_check<std::int32_t, 0, 0777>;
// User and group ids.
inline constexpr Check kId = &range_check<std::int64_t, 0, kMaxInt32>;

// "A, B or C" for messages.
template <std::size_t N>
std::string word_list(const std::array<std::string_view, N>& words) {
  std::string out;
  for (std::size_t i = 0; i < N; ++i) {
    if (i > 0) out += i + 1 == N ? " or " : ", ";
    out += words[i].empty() ? "\"\"" : std::string(words[i]);
  }
  return out;
}

// One of a closed list of words: words_check<kProtocols> with a std::array of static storage.
template <const auto& Words>
std::optional<Error> words_check(const void* value) {
  const auto& text = *static_cast<const std::string*>(value);
  if (std::find(Words.begin(), Words.end(), text) != Words.end()) return std::nullopt;
  return invalid_value(moored::quoted(text) + " is not allowed", "use " + word_list(Words));
}

// A port by number or by name.
std::optional<Error> port_reference_check(const void* value);
// A number that is not negative, or a percentage from 0% to 100%.
std::optional<Error> amount_check(const void* value);

// Adds an error of an object check with its path inside the object.
inline void add_at(std::vector<Error>& errors, std::string field, Error error) {
  error.place.field = std::move(field) + error.place.field;
  errors.push_back(std::move(error));
}

}  // namespace moored
