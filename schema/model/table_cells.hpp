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

// The wide columns that end the row of every kind with a pod template.
inline constexpr Column kContainersColumn =
    wide_column("Containers", "Names of the containers.");
inline constexpr Column kImagesColumn = wide_column("Images", "Images of the containers.");
inline constexpr Column kSelectorColumn =
    wide_column("Selector", "Labels of the pods that belong here.");

// The columns of the kinds that keep a number of pods and nothing more.
inline constexpr Column kReplicaColumns[] = {
    kNameColumn,
    integer_column("Desired", "The goal."),
    integer_column("Current", "Pods that exist."),
    integer_column("Ready", "Pods that are ready."),
    kAgeColumn, kContainersColumn, kImagesColumn, kSelectorColumn};

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
// Adds the cells of the three wide columns; the selector is already a text.
void add_template_cells(const PodTemplateSpec& pod_template, const std::string& selector,
                        std::vector<Cell>& cells);
// A selector as kubectl words it, or <none>.
std::string selector_text(const LabelSelector& selector);

}  // namespace moored
