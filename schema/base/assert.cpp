#include "schema/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace moored {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "moored: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace moored
