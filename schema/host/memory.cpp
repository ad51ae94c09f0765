#include "schema/host/memory.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace moored {
namespace {

// Larger pieces get mappings of their own, and are gone when they are freed.
constexpr int kMappedBytes = 1 << 20;

// Only what was never written to: it is the file's own content.
int drop_clean_pages(dl_phdr_info* object, std::size_t, void* page_size) {
  const auto page = *static_cast<const std::uintptr_t*>(page_size);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // The kernel refuses what is no file, such as its own page of code; nothing is lost by that.
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void limit_heaps(int count) {
  ::mallopt(M_ARENA_MAX, count);
  ::mallopt(M_MMAP_THRESHOLD, kMappedBytes);
}

void return_idle_memory() {
  ::malloc_trim(0);
  auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  ::dl_iterate_phdr(&drop_clean_pages, &page);
}

}  // namespace moored
