// labelSelector and fieldSelector, parsed strictly.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/api/encoding.hpp"
#include "net/api/resources.hpp"
#include "schema/base/result.hpp"

namespace moored::net::api {

// One requirement on the labels.
struct LabelTerm {
  enum class Operation { in, not_in, exists, absent } operation = Operation::exists;
  std::string key;
  std::vector<std::string> values;
  bool operator==(const LabelTerm&) const = default;
};

// One requirement on a field.
struct FieldTerm {
  std::string path;  // metadata.name, metadata.namespace or one of Kind::selectable
  std::string value;
  bool equal = true;
  int index = -1;  // into Kind::selectable; -1: metadata
  bool operator==(const FieldTerm&) const = default;
};

// All requirements of a request; all must hold.
struct Selection {
  std::vector<LabelTerm> labels;
  std::vector<FieldTerm> fields;

  bool empty() const { return labels.empty() && fields.empty(); }
  // True when some requirement looks into the encoded object.
  bool needs_encoding() const;
  bool matches_labels(const Labels& have) const;
  bool matches_fields(const Object& object, const Encoded* encoded) const;
};

// Reads a labelSelector. Errors: invalid, worded for the person who typed it.
Result<std::vector<LabelTerm>> parse_label_selector(std::string_view text);
// Reads a fieldSelector. Errors: invalid ("field label not supported: PATH").
Result<std::vector<FieldTerm>> parse_field_selector(const Resource& resource,
                                                    std::string_view text);

}  // namespace moored::net::api
