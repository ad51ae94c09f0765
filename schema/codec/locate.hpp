// From a field path back to the line and column where the field was written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/codec/value.hpp"

namespace moored {

// The documents of one file, kept to find fields in them. For errors that are found after the
// text is gone, such as those of policy; parsing again costs only who made a mistake.
class FieldLocator {
 public:
  // Reads the text as the loader does: JSON by the ending of the file's name, else YAML.
  FieldLocator(std::string_view text, const std::string& file);

  // Moves a place that has a field, and the line where its document starts, to the field itself
  // or to its nearest written parent. Other places stay as they are.
  void refine(Place& place) const;

 private:
  std::vector<Value> documents_;  // the items of lists stand beside the documents
};

}  // namespace moored
