// Whether the kernel killed something in a cgroup for lack of memory, on both cgroup versions.
#pragma once

#include <cstdint>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::shim {

// The oom_kill counter of memory.events (v2) or memory.oom_control (v1); 0 when unreadable.
std::int64_t read_oom_kill_count(const std::string& file);
// The counter in the text of such a file.
std::int64_t parse_oom_kill_count(const std::string& text);

struct MemoryWatch {
  UniqueFd descriptor;
  std::uint32_t events = 0;  // what epoll shall wait for
};
// A descriptor that wakes when the counters change. v2: EPOLLPRI on the file; v1: an eventfd.
Result<MemoryWatch> open_memory_watch(const std::string& file);
// Takes the event, so that the next one wakes again.
void consume_memory_event(int descriptor);

// The first bytes of a regular file below a directory, without following a link.
Result<std::string> read_file_head(const std::string& directory, const std::string& name,
                                   std::size_t limit);

}  // namespace moored::shim
