// MOORED_ASSERT: a broken invariant of our own ends the process. Never for foreign input.
#pragma once

namespace moored {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

#define MOORED_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::moored::assertion_failed(#condition, __FILE__, __LINE__))
