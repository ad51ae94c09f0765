// What every fuzzer shares: the input as text, and a check that stays on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace moored::fuzz {

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Ends the run with a sentence when something that always holds does not.
inline void check(bool holds, std::string_view sentence) {
  if (holds) return;
  std::cerr << "does not hold: " << sentence << "\n";
  std::abort();
}

}  // namespace moored::fuzz

// Called by libFuzzer with each input; the result is always 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
