#include "runtime/probe/cell.hpp"

#include <sys/socket.h>

#include <cstdint>

#include "schema/host/rights.hpp"

namespace moored::probe {
namespace {

constexpr std::uint64_t kMemoryBytes = 128U << 20U;
// A hundred times what the slowest handshake was seen to take.
constexpr std::uint64_t kCpuSeconds = 5;
constexpr std::uint64_t kDescriptors = 16;

// Settings and modules of the TLS library.
constexpr const char* kReadable[] = {"/etc/ssl", "/usr/lib", "/lib", "/lib64"};
constexpr const char* kAskingCalls[] = {"connect", "getsockopt", "setsockopt"};

Status set_limits() {
  if (!kSanitized) MOORED_CHECK(rights::set_limit("as", kMemoryBytes));
  MOORED_CHECK(rights::set_limit("cpu", kCpuSeconds));
  MOORED_CHECK(rights::set_limit("fsize", 0));
  return rights::set_limit("nofile", kDescriptors);
}

Status restrict_files() {
  FileRules rules;
  for (const char* path : kReadable) rules.allow(path, FileAccess::read);
  return std::move(rules).enforce();
}

}  // namespace

Status enter_cell(const WorkerUser& user) {
  MOORED_CHECK(set_limits());
  MOORED_CHECK(give_up_rights(user, 0));
  MOORED_CHECK(restrict_files());
  CallFilter filter(CallFilter::Otherwise::absent);
  filter.allow_ordinary().allow(kAskingCalls).allow_if("socket", 0, AF_INET);
  return std::move(filter).load();
}

}  // namespace moored::probe
