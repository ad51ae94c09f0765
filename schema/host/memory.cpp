#include "schema/host/memory.hpp"

#include <malloc.h>

namespace moored {
namespace {

// Larger pieces get mappings of their own, and are gone when they are freed.
constexpr int kMappedBytes = 1 << 20;

}  // namespace

void limit_heaps(int count) {
  ::mallopt(M_ARENA_MAX, count);
  ::mallopt(M_MMAP_THRESHOLD, kMappedBytes);
}

void return_free_heap() {
  ::malloc_trim(0);
}

}  // namespace moored
