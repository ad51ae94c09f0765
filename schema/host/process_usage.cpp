#include "schema/host/process_usage.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <sstream>

#include "schema/host/file.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxText = 1U << 20U;

// The moment of the boot, in seconds since 1970.
Result<double> read_boot_time() {
  MOORED_TRY(const auto text, read_file("/proc/stat", kMaxText));
  const auto at = text.find("\nbtime ");
  if (at == std::string::npos) return fail(Code::corrupt, "/proc/stat names no boot time");
  return std::strtod(text.c_str() + at + 7, nullptr);
}

}  // namespace

// The name of the program may hold blanks and brackets, so fields count from its last bracket.
Result<ProcessUsage> read_process_usage() {
  MOORED_TRY(const auto text, read_file("/proc/self/stat", kMaxText));
  MOORED_TRY(const auto boot, read_boot_time());
  const auto bracket = text.rfind(')');
  if (bracket == std::string::npos) return fail(Code::corrupt, "/proc/self/stat is not one");
  std::istringstream fields(text.substr(bracket + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field)
    fields >> skipped;
  double user = 0;
  double system = 0;
  double started = 0;
  ProcessUsage usage;
  std::int64_t pages = 0;
  fields >> user >> system;
  for (int field = 16; field < 20; ++field)
    fields >> skipped;
  fields >> usage.threads >> skipped >> started >> usage.virtual_bytes >> pages;
  if (!fields) return fail(Code::corrupt, "/proc/self/stat is too short");
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  usage.cpu_seconds = (user + system) / ticks;
  usage.start_time_seconds = boot + started / ticks;
  usage.resident_bytes = pages * ::sysconf(_SC_PAGESIZE);
  MOORED_TRY(const auto files, list_directory("/proc/self/fd"));
  usage.open_files = static_cast<std::int64_t>(files.size()) - 1;  // but for the listing itself
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    usage.open_files_limit = static_cast<std::int64_t>(limit.rlim_cur);
  }
  return usage;
}

}  // namespace moored
