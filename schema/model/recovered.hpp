// The mark of objects that were made again from what runs, after the store was lost.
#pragma once

#include <string>
#include <string_view>

#include "schema/model/meta.hpp"

namespace moored {

// On an object that no commit has claimed yet; taken off when every source was read again.
inline constexpr std::string_view kRecoveredAnnotation = "moored.dev/recovered";

inline bool is_recovered(const ObjectMeta& meta) {
  return meta.annotations.count(std::string(kRecoveredAnnotation)) > 0;
}

}  // namespace moored
