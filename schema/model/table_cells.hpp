// Small parts that the tables of several kinds share.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "schema/model/pod.hpp"
#include "schema/model/tables.hpp"

namespace moored {

inline constexpr std::string_view kNoneText = "<none>";
inline constexpr std::string_view kUnsetText = "<unset>";
inline constexpr std::string_view kUnknownText = "<unknown>";

// The columns that nearly every kind has.
inline constexpr Column kNameColumn{"Name", "string", "name", 0,
                                    "Name, unique among the objects of its kind and namespace."};
inline constexpr Column kAgeColumn{"Age", "string", "", 0, "Time since the object was recorded."};

// A column of texts, and one that only -o wide shows.
constexpr Column text_column(std::string_view name, std::string_view doc) {
  return {name, "string", "", 0, doc};
}
constexpr Column wide_column(std::string_view name, std::string_view doc) {
  return {name, "string", "", 1, doc};
}
constexpr Column integer_column(std::string_view name, std::string_view doc) {
  return {name, "integer", "", 0, doc};
}

inline Cell name_cell(const Object& object) { return Cell::of(object.meta().name); }
inline Cell age_cell(const Object& object, Time now) {
  return Cell::of(age_text(object.meta().creation_timestamp, now));
}
// The text, or <none> when it is empty.
inline Cell or_none(std::string text) {
  return Cell::of(text.empty() ? std::string(kNoneText) : std::move(text));
}

// "a,b,c" over a list, with one text for each item.
template <class List, class Text>
std::string joined(const List& list, std::string_view separator, Text text) {
  std::string out;
  for (const auto& item : list) {
    if (!out.empty()) out += separator;
    out += text(item);
  }
  return out;
}

// Up to three of the texts, then " + N more...".
std::string first_three(const std::vector<std::string>& texts);
// Labels as k=v,k=v.
std::string labels_text(const Labels& labels);
// A selector as kubectl words it, or <none>.
std::string selector_text(const LabelSelector& selector);

}  // namespace moored
