// How a worker that meets foreign bytes takes rights away from itself, for good. Which ones a
// worker can do without is the policy of its own part; here is the mechanism that all of them use.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {

// A sanitizer reserves terabytes of addresses, traces its own process at the end and makes calls
// that no list knows: memory limits and filters of system calls would end it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// uid and gid to become; none: stay who one is.
using WorkerUser = std::optional<std::pair<unsigned, unsigned>>;

// From here on the process can gain nothing by executing, writes no core file, and nobody of the
// same user looks into it: workers of others run as that user and hold other secrets. Of its
// capabilities it keeps those of the mask (bits by number) that it has, also as another user; all
// others are gone. Call it before the first thread is made.
// Errors: those of the system calls; the process must then not go on.
Status give_up_rights(const WorkerUser& user, std::uint64_t kept_capabilities);

// Sets resource limits of this process, soft and hard, by name as rights::set_limit() does. Memory
// ("as", bytes) stays unlimited under a sanitizer. Errors: those of rights::set_limit().
Status limit_resources(std::initializer_list<std::pair<const char*, std::uint64_t>> limits);

// What may be done with a place and everything below it.
enum class FileAccess {
  read,          // files and directories
  write,         // and make, rename and remove them
  write_special  // and symbolic links, pipes and character devices: what layers of images hold
};

// The files that a process may still touch, by Landlock. Where the kernel does not have it (before
// 5.19, or switched off) there are no rules, and the user's own rights are what is left.
class FileRules {
 public:
  static bool is_available();

  FileRules();
  // A place that does not exist needs no rule.
  FileRules& allow(const std::string& path, FileAccess access);
  FileRules& allow(std::span<const char* const> paths, FileAccess access);
  // descriptor of an open file or directory, not owned.
  FileRules& allow(int descriptor, FileAccess access);
  // Whatever no rule names is out of reach from here on, for opening, not for what is open.
  // Errors: the first one of a rule, or those of the system calls.
  Status enforce() &&;

 private:
  UniqueFd rules_;
  Status status_;
};

// The system calls that a process may still make. Calls that this architecture does not have are
// passed over. Nothing is filtered under a sanitizer.
class CallFilter {
 public:
  // What every call meets that no rule names.
  enum class Otherwise {
    allow,
    absent,  // ENOSYS: the C library then takes the older way where it knows one
    denied   // EPERM
  };
  explicit CallFilter(Otherwise otherwise);

  CallFilter& allow(std::span<const char* const> calls);
  // What any program calls that reads files, allocates memory, waits, and speaks on sockets that
  // it has: no new ones, no threads, no programs, no signals.
  CallFilter& allow_ordinary();
  // Only where argument number `index` has this value in the bits of the mask.
  CallFilter& allow_if(const char* call, unsigned index, std::uint64_t value,
                       std::uint64_t mask = ~std::uint64_t{0});
  // error is an errno.
  CallFilter& deny(std::span<const char* const> calls, int error);
  // Holds this thread and those it makes to the rules, for good. Errors: the first one of a rule;
  // exhausted; denied (neither CAP_SYS_ADMIN nor give_up_rights() before).
  Status load() &&;

 private:
  struct Release {
    void operator()(void* filter) const;
  };
  void add(const char* call, std::uint32_t action);

  std::unique_ptr<void, Release> filter_;
  Status status_;
};

}  // namespace moored
