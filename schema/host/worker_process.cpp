#include "schema/host/worker_process.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <string_view>

namespace moored {
namespace {

constexpr std::chrono::milliseconds kReapTime{5'000};
constexpr std::string_view kUser = "--user";
constexpr std::string_view kGroup = "--group";

// Ids are plain decimal; a sign or a space makes them unusable.
std::optional<unsigned> read_id(std::string_view text) {
  unsigned value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

// Our end of the socket is closed on exec; theirs is handed over by number.
Result<WorkerProcess> WorkerProcess::start(const WorkerOrder& order, int stop) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Unexpected(system_error("make a socket for " + order.program, errno));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  SpawnRequest request;
  request.program = order.program;
  // As in a list of processes: the name without its directory.
  request.arguments = {order.program.substr(order.program.rfind('/') + 1)};
  request.arguments.insert(request.arguments.end(), order.arguments.begin(),
                           order.arguments.end());
  add_worker_user(request.arguments, order.user);
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent"};
  request.descriptors = order.descriptors;
  request.descriptors.insert(request.descriptors.end(), {{theirs.get(), kWorkerSocket}, {2, 2}});
  WorkerProcess worker;
  MOORED_TRY(worker.child_, spawn(request));
  worker.channel_ = FrameChannel(std::move(ours), stop);
  return worker;
}

WorkerProcess& WorkerProcess::operator=(WorkerProcess&& other) noexcept {
  if (this == &other) return *this;
  end();
  child_ = std::move(other.child_);
  channel_ = std::move(other.channel_);
  return *this;
}

// The pidfd says whose process it is: one that was moved from has none.
void WorkerProcess::end() {
  channel_ = FrameChannel();
  if (!child_.pidfd) return;
  static_cast<void>(kill_group(child_, SIGKILL).has_value());
  static_cast<void>(wait_child(child_, kReapTime).has_value());
  child_ = Child{};
}

void add_worker_user(std::vector<std::string>& arguments, const WorkerUser& user) {
  if (!user) return;
  arguments.insert(arguments.end(), {std::string(kUser), std::to_string(user->first),
                                     std::string(kGroup), std::to_string(user->second)});
}

Result<WorkerUser> take_worker_user(std::vector<std::string>& arguments) {
  const std::size_t count = arguments.size();
  if (count < 4 || arguments[count - 4] != kUser) return WorkerUser();
  const auto uid = read_id(arguments[count - 3]);
  const auto gid = read_id(arguments[count - 1]);
  if (arguments[count - 2] != kGroup || !uid || !gid) {
    return fail(Code::invalid, "the worker's user is not --user UID --group GID");
  }
  arguments.resize(count - 4);
  return WorkerUser({*uid, *gid});
}

}  // namespace moored
