#include "gitsync/repo/disk_use.hpp"

#include <filesystem>
#include <system_error>

namespace moored::git {
namespace {

constexpr std::size_t kBlockBytes = 4096;

std::size_t in_blocks(std::size_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

}  // namespace

// With error codes throughout: files of a mirror may go while it is looked at.
std::size_t measure_disk_use(const std::string& directory) {
  namespace fs = std::filesystem;
  std::size_t sum = 0;
  std::size_t entries = 0;
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied,
                                         error);
  for (const fs::recursive_directory_iterator end;
       !error && entry != end && entries < kMeasuredEntries; entry.increment(error)) {
    ++entries;
    std::error_code vanished;
    const auto type = entry->symlink_status(vanished).type();
    const auto size = type == fs::file_type::regular ? entry->file_size(vanished) : 0;
    sum += vanished ? 0 : kBlockBytes + in_blocks(static_cast<std::size_t>(size));
  }
  return sum;
}

}  // namespace moored::git
