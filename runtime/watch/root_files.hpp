// Files that nobody may change: those a container with a read-only root wrote or lost all the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moored::watch {

// One file that is not as it was.
struct ChangedFile {
  std::string path;  // in the container
  std::string what;  // "12 bytes, changed", "deleted", "a directory, changed"
  bool operator==(const ChangedFile&) const = default;
};

// Files of a container's writable layer whose state changed after a moment (microseconds since
// 1970, wall time): with a read-only root the container itself cannot have done it. At most limit
// of them, in the order of their paths; at most max_entries are looked at. A directory counts only
// when nothing in it does. Nothing is followed, nothing is opened but directories.
inline constexpr std::size_t kMaxEntries = 20'000;
std::vector<ChangedFile> find_changed_files(const std::string& layer, std::int64_t since_micros,
                                            std::size_t limit,
                                            std::size_t max_entries = kMaxEntries);
// When a file itself changed last, in microseconds since 1970; nothing: there is none. Follows
// links.
std::optional<std::int64_t> read_change_time(const std::string& path);

// What a running program was executed from: enough to tell that the file was exchanged.
struct FileMark {
  std::int64_t size = -1;            // -1: there is no such file
  std::int64_t modified_micros = 0;
  bool operator==(const FileMark&) const = default;
};
// Follows links: for /proc/PID/exe.
FileMark read_mark(const std::string& path);
// The same for a path inside a process's root, resolved there. Nothing: it cannot be told now, as
// the process is gone or descriptors are.
std::optional<FileMark> read_mark_inside(int pid, const std::string& path);

}  // namespace moored::watch
