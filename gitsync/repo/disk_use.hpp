// How much disk a directory takes.
#pragma once

#include <cstddef>
#include <string>

namespace moored::git {

// Bytes of everything below a directory, with a block for each name: a million empty files are not
// nothing. Links are not followed; what cannot be read or vanishes counts as nothing. Counting ends
// past kMeasuredEntries names, which is more than any limit allows.
inline constexpr std::size_t kMeasuredEntries = 1U << 20U;
std::size_t measure_disk_use(const std::string& directory);

}  // namespace moored::git
