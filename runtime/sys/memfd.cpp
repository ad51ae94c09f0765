#include "runtime/sys/memfd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace moored::sys {
namespace {

// Kernels from 6.3 on want to be told; older ones reject the flag and allow execution.
constexpr unsigned kMemfdExecutable = 0x10U;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

}  // namespace

// Sealed last: after F_SEAL_SEAL not even this process can open it up again.
Result<UniqueFd> make_sealed_file(const std::string& name, std::string_view content,
                                  bool executable) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd file(::memfd_create(name.c_str(), kFlags | (executable ? kMemfdExecutable : 0U)));
  if (!file && errno == EINVAL) file.reset(::memfd_create(name.c_str(), kFlags));
  if (!file) return failed("make memory file " + name);
  while (!content.empty()) {
    const auto put = ::write(file.get(), content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("fill memory file " + name);
    content.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fchmod(file.get(), executable ? 0500 : 0400) != 0) return failed("chmod " + name);
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) return failed("seal " + name);
  return file;
}

bool is_sealed(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

}  // namespace moored::sys
