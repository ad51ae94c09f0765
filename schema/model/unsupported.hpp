// Kinds that Kubernetes knows and moored refuses, so that the error can say why and what to do.
#pragma once

#include <string_view>

namespace moored {

// One refused kind, or an old API version of a kind that is carried out.
struct UnsupportedKind {
  std::string_view group;
  std::string_view version;  // empty: every version
  std::string_view kind;
  std::string_view reason;   // completes "apps/v1 StatefulSet is not carried out: …"
  std::string_view fix;      // what to write instead
};

// The row of a kind that Kubernetes knows and all_kinds() does not, or nullptr.
const UnsupportedKind* find_unsupported(std::string_view api_version, std::string_view kind);

}  // namespace moored
