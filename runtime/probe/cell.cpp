#include "runtime/probe/cell.hpp"

#include <sys/socket.h>

#include <cstdint>

namespace moored::probe {
namespace {

constexpr std::uint64_t kMemoryBytes = 128U << 20U;
// A hundred times what the slowest handshake was seen to take.
constexpr std::uint64_t kCpuSeconds = 5;
constexpr std::uint64_t kDescriptors = 16;

// Settings and modules of the TLS library.
constexpr const char* kReadable[] = {"/etc/ssl", "/usr/lib", "/lib", "/lib64"};
constexpr const char* kAskingCalls[] = {"connect", "getsockopt", "setsockopt"};

}  // namespace

Status enter_cell(const WorkerUser& user) {
  MOORED_CHECK(limit_resources(
      {{"as", kMemoryBytes}, {"cpu", kCpuSeconds}, {"fsize", 0}, {"nofile", kDescriptors}}));
  MOORED_CHECK(give_up_rights(user, 0));
  MOORED_CHECK(std::move(FileRules().allow(kReadable, FileAccess::read)).enforce());
  CallFilter filter(CallFilter::Otherwise::absent);
  filter.allow_ordinary().allow(kAskingCalls).allow_if("socket", 0, AF_INET);
  return std::move(filter).load();
}

}  // namespace moored::probe
