#include "runtime/shim/memory_watch.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "schema/host/file.hpp"

namespace moored::shim {
namespace {

constexpr std::string_view kV1Name = "memory.oom_control";

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

bool is_v1(const std::string& file) {
  return file.size() > kV1Name.size() &&
         file.compare(file.size() - kV1Name.size(), kV1Name.size(), kV1Name) == 0;
}

}  // namespace

std::int64_t parse_oom_kill_count(const std::string& text) {
  constexpr std::string_view kName = "oom_kill ";
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, kName.size(), kName) == 0) {
      std::int64_t count = 0;
      std::from_chars(text.data() + at + kName.size(), text.data() + text.size(), count);
      return count;
    }
    const auto end = text.find('\n', at);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return 0;
}

std::int64_t read_oom_kill_count(const std::string& file) {
  const auto text = read_file(file, 4096);
  return text ? parse_oom_kill_count(*text) : 0;
}

// v1 has to be asked in writing: which eventfd for which file.
Result<MemoryWatch> open_memory_watch(const std::string& file) {
  MemoryWatch watch;
  UniqueFd counters(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!counters) return failed("open " + file);
  if (!is_v1(file)) {
    watch.descriptor = std::move(counters);
    watch.events = EPOLLPRI;
    return watch;
  }
  watch.descriptor.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch.descriptor) return failed("make event descriptor");
  const std::string control = file.substr(0, file.size() - kV1Name.size()) + "cgroup.event_control";
  MOORED_CHECK(write_file(
      control, std::to_string(watch.descriptor.get()) + " " + std::to_string(counters.get())));
  watch.events = EPOLLIN;
  return watch;
}

void consume_memory_event(int descriptor) {
  // eventfd: 8 bytes; memory.events: reading from the start arms it again.
  std::array<char, 4096> text{};
  if (::pread(descriptor, text.data(), text.size(), 0) < 0) {
    static_cast<void>(::read(descriptor, text.data(), sizeof(std::uint64_t)));
  }
}

Result<std::string> read_file_head(const std::string& directory, const std::string& name,
                                   std::size_t limit) {
  const UniqueFd parent(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return failed("open " + directory);
  const UniqueFd file(::openat(parent.get(), name.c_str(),
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return failed("open " + name);
  if (!S_ISREG(status.st_mode)) return fail(Code::invalid, name + " is not a regular file");
  std::string text(limit, '\0');
  std::size_t size = 0;
  while (size < limit) {
    const auto got = ::read(file.get(), text.data() + size, limit - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read " + name);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

}  // namespace moored::shim
