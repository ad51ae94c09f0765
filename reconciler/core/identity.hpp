// Names and times that a replay gives again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/time.hpp"
#include "schema/model/object.hpp"

namespace moored {

struct PlanContext;

// FNV-1a with 64 bits: a spread of names, not a protection.
std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0xcbf29ce484222325ULL);
// The hash in letters of Kubernetes' safe alphabet (no vowels, no look-alikes), at most 13.
std::string encode_hash(std::uint64_t hash, std::size_t length);
// The moment in whole seconds, as objects carry it.
Time stamp(const Now& now);
// Gives a new object its uid and its creation time, and a pod its first status.
Object make_recorded(const Object& declared, const PlanContext& context);

}  // namespace moored
