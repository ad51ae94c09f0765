// Whole files, read with a limit and written so that a crash leaves the old or the new one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// Reads a file of at most limit bytes. Works for /proc and /sys, whose size reads as 0.
// Errors: not_found, denied, exhausted (longer than the limit), unavailable.
Result<std::string> read_file(const std::string& path, std::size_t limit = 16U << 20U);
// The same below a directory descriptor, refusing symbolic links in the last component.
Result<std::string> read_file_at(int directory, const std::string& name,
                                 std::size_t limit = 16U << 20U);
// Replaces a file durably: .name.tmp, write, fdatasync, rename, fsync of the directory.
Status write_file_durably(const std::string& path, std::string_view content,
                          unsigned mode = 0600);
// Writes without durability, for run-dir, /proc and /sys. Creates the file when create is set.
Status write_file(const std::string& path, std::string_view content, bool create = false,
                  unsigned mode = 0600);
// Makes a directory and its missing parents. An existing directory is success.
Status make_directories(const std::string& path, unsigned mode = 0700);
// Removes a tree by descriptors, never through a link and never across a mount point.
// A missing tree is success. Errors: conflict (a mount is inside), denied.
Status remove_tree(const std::string& path);
// True when the path exists, without following a final link.
bool path_exists(const std::string& path);
// The names in a directory, sorted, without . and ..; an absent directory is not_found.
Result<std::vector<std::string>> list_directory(const std::string& path);
// Takes an exclusive lock on a file, created if needed; held as long as the descriptor lives.
// Errors: conflict (somebody else holds it).
Result<UniqueFd> lock_file(const std::string& path);

}  // namespace moored
