#include "reconciler/daemon/supervisor.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "schema/base/log.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {
namespace {

constexpr int kSignsWithinPatience = 3;
constexpr std::chrono::seconds kLongestTell{5};

// A whole number above zero from the environment.
std::optional<std::int64_t> find_number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto read = std::from_chars(text, end, value);
  if (read.ec != std::errc() || read.ptr != end || value <= 0) return std::nullopt;
  return value;
}

}  // namespace

Status notify_supervisor(std::string_view message) {
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr || *name == '\0') return {};
  const std::size_t size = std::strlen(name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((*name != '/' && *name != '@') || size >= sizeof address.sun_path) {
    return fail(Code::invalid, "NOTIFY_SOCKET is neither a path nor an abstract name");
  }
  std::memcpy(address.sun_path, name, size);
  if (*name == '@') address.sun_path[0] = '\0';
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return Unexpected(system_error("make a socket", errno));
  // One that does not read must not hold the daemon up.
  const timeval patience{kLongestTell.count(), 0};
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
    return Unexpected(system_error("limit the wait for the supervisor", errno));
  }
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  const ssize_t sent = ::sendto(socket.get(), message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), length);
  if (sent < 0) return Unexpected(system_error("tell the supervisor", errno));
  return {};
}

std::optional<std::chrono::microseconds> find_watchdog_patience() {
  const auto micros = find_number("WATCHDOG_USEC");
  if (!micros) return std::nullopt;
  if (std::getenv("WATCHDOG_PID") != nullptr && find_number("WATCHDOG_PID") != ::getpid()) {
    return std::nullopt;
  }
  return std::chrono::microseconds(*micros);
}

Vitality::Vitality(std::vector<Pulse> pulses)
    : pulses_(std::move(pulses)), seen_(pulses_.size()) {}

std::vector<std::string> Vitality::find_still() {
  std::vector<std::string> still;
  for (std::size_t i = 0; i < pulses_.size(); ++i) {
    const std::uint64_t rounds = pulses_[i].rounds();
    if (seen_[i] == rounds) still.push_back(pulses_[i].name);
    seen_[i] = rounds;
    pulses_[i].wake();
  }
  return still;
}

Watchdog::Watchdog(std::vector<Pulse> pulses) : vitality_(std::move(pulses)) {
  const auto patience = find_watchdog_patience();
  if (!patience) return;
  thread_ = std::jthread([this, pause = *patience / kSignsWithinPatience](std::stop_token stop) {
    run(stop, pause);
  });
}

void Watchdog::run(std::stop_token stop, std::chrono::microseconds pause) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  for (; !stop.stop_requested(); never.wait_for(lock, stop, pause, [] { return false; })) {
    std::string names;
    for (const auto& name : vitality_.find_still())
      names += (names.empty() ? "" : ", ") + name;
    if (!names.empty()) {
      log(LogLevel::error, "no sign of life: a thread stands still", {{"threads", names}});
      continue;
    }
    if (const auto told = notify_supervisor("WATCHDOG=1"); !told) {
      log(LogLevel::warning, "the supervisor was not told", {{"error", told.error().text()}});
    }
  }
}

}  // namespace moored
