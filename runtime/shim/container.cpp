#include "runtime/shim/container.hpp"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <utility>

#include "runtime/shim/launch.hpp"
#include "runtime/shim/memory_watch.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/base/time.hpp"
#include "schema/host/file.hpp"

namespace moored::shim {
namespace {

constexpr std::size_t kMaxMessageBytes = 4096;
// A process outside of the container may hold the pipe; nobody waits for it longer than this.
constexpr std::chrono::seconds kDrainTime{2};
constexpr int kStartErrorCode = 128;

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

std::int64_t micros_now() {
  return std::chrono::floor<Duration>(std::chrono::system_clock::now()).time_since_epoch().count();
}

std::uint64_t new_namespaces(const ContainerOrder& order) {
  std::uint64_t kinds = CLONE_NEWNS;
  if (order.pid_namespace == "new" || order.pid_namespace == "pause") kinds |= CLONE_NEWPID;
  return kinds;
}

}  // namespace

// An unreadable file is a group that is gone.
bool cgroup_is_populated(const std::string& directory) {
  const auto events = read_file(directory + "/cgroup.events", 4096);
  return events && events->find("populated 1") != std::string::npos;
}

Status kill_cgroup(const std::string& directory) {
  return write_file(directory + "/cgroup.kill", "1");
}

ContainerRun::ContainerRun(Loop& loop, ContainerOrder order, int shared_pid_namespace)
    : loop_(loop), order_(std::move(order)), shared_pid_namespace_(shared_pid_namespace) {
  state_.name = order_.name;
  state_.attempt = order_.attempt;
  state_.id = order_.id;
  state_.phase = "creating";
}

ContainerRun::~ContainerRun() {
  for (const auto token : {control_token_, out_.token, err_.token, memory_token_}) {
    loop_.unwatch(token);
  }
  loop_.stop_timer(drain_timer_);
}

// A failure before the child exists needs no waiting: there is nothing to reap.
void ContainerRun::create(Answer answer, Ended ended, OutOfMemory out_of_memory) {
  answer_ = std::move(answer);
  ended_ = std::move(ended);
  out_of_memory_ = std::move(out_of_memory);
  auto begun = begin();
  if (begun) return;
  state_.start_error = begun.error().message;
  state_.phase = "exited";
  state_.code = kStartErrorCode;
  state_.finished_micros = micros_now();
  settle(begun);
}

// The counter of kills is read before the child exists: what comes later is its own.
Status ContainerRun::begin() {
  if (!order_.log_path.empty()) {
    MOORED_TRY(auto log, LogFile::create(order_.log_path, LogLimits{}));
    log_ = std::make_unique<LogFile>(std::move(log));
  }
  LaunchRequest request;
  request.steps = order_.steps;
  request.placement.new_namespaces = new_namespaces(order_);
  request.placement.pid_namespace = order_.pid_namespace == "shared" ? shared_pid_namespace_ : -1;
  request.placement.cgroup = order_.cgroup;
  request.placement.tasks_files = order_.tasks_files;
  request.placement.oom_score_adjust = order_.oom_score_adjust;
  request.uid = order_.uid;
  request.gid = order_.gid;
  request.tty = order_.tty;
  request.stdin_open = order_.stdin_open;
  oom_kills_at_start_ = read_oom_kills();
  oom_kills_told_ = oom_kills_at_start_;
  MOORED_TRY(auto launched, launch(request));
  child_ = std::move(launched.child);
  control_ = std::move(launched.control);
  input_ = std::move(launched.in);
  out_.fd = std::move(launched.out);
  err_.fd = std::move(launched.err);
  state_.pid = child_.pid;
  state_.start_time = read_start_time(child_.pid).value_or(0);
  state_.created_micros = micros_now();
  MOORED_TRY(control_token_,
             loop_.watch(control_.get(), EPOLLIN, [this](auto) { read_control(); }));
  return watch_streams();
}

// With a terminal there is nothing to watch yet: the child opens it and sends it.
Status ContainerRun::watch_streams() {
  for (Stream* stream : {&out_, &err_}) {
    if (!stream->fd) continue;
    MOORED_TRY(stream->token, loop_.watch(stream->fd.get(), EPOLLIN,
                                          [this, stream](auto) { read_stream(*stream); }));
  }
  watch_memory();
  return {};
}

void ContainerRun::read_stream(Stream& stream) {
  // A bounded number of reads, so that one loud container cannot starve the others.
  constexpr int kMaxReads = 16;
  std::array<char, 65536> chunk{};
  for (int i = 0; i < kMaxReads; ++i) {
    const auto got = ::read(stream.fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {  // end of file, or EIO of a terminal without another end
      close_stream(stream);
      return;
    }
    std::string records;
    const auto now = wall_now();
    stream.framer.feed({chunk.data(), static_cast<std::size_t>(got)}, now, records);
    if (log_) log_->write(records, now);
  }
}

// The end of the last stream is the end of the attempt, if its process has ended before.
void ContainerRun::close_stream(Stream& stream) {
  loop_.unwatch(std::exchange(stream.token, 0));
  stream.fd.reset();
  std::string records;
  const auto now = wall_now();
  stream.framer.finish(now, records);
  if (log_ && !records.empty()) log_->write(records, now);
  if (process_gone_ && !out_.fd && !err_.fd) finish();
}

void ContainerRun::read_control() {
  auto received = sys::receive_descriptor(control_.get());
  if (!received && received.error().reason == "Again") return;
  const std::string message = received ? received->message : "";
  if (message.empty()) {
    control_closed();
  } else if (message == "terminal" && received->descriptor) {
    out_.fd = std::move(received->descriptor);
    auto token = loop_.watch(out_.fd.get(), EPOLLIN, [this](auto) { read_stream(out_); });
    if (token) out_.token = *token;
  } else if (message == "ready") {
    state_.phase = "created";
    auto written = write_state();
    durable_ = written.has_value();
    settle(written);
  } else if (message.compare(0, 6, "error ") == 0) {
    child_failed(message.substr(6));
  }
}

// Closed without a word after START: the program runs. Before: the child is gone.
void ContainerRun::control_closed() {
  loop_.unwatch(std::exchange(control_token_, 0));
  control_.reset();
  if (start_asked_ && state_.phase == "created" && state_.start_error.empty()) {
    state_.phase = "running";
    state_.started_micros = micros_now();
    settle(write_state());
  } else if (state_.phase == "creating" && state_.start_error.empty()) {
    child_failed("the child ended before it was ready");
  }
}

// The answer waits until the child is reaped: whoever undoes its cgroups finds them empty.
void ContainerRun::child_failed(const std::string& why) {
  state_.start_error = why;
  static_cast<void>(sys::send_signal(child_.pidfd.get(), SIGKILL));
}

// Exactly once for each question; whoever asked may be gone by now.
void ContainerRun::settle(const Status& status) {
  const auto answer = std::exchange(answer_, nullptr);
  if (answer) answer(status);
}

// The answer comes with the end of the control line: exec closes it.
void ContainerRun::start(Answer answer) {
  if (state_.phase == "running") return answer({});
  if (state_.phase != "created" || start_asked_) {
    return answer(fail(Code::conflict, "container " + order_.name + " is " + state_.phase));
  }
  start_asked_ = true;
  answer_ = std::move(answer);
  auto sent = sys::send_message(control_.get(), "start");
  if (!sent) settle(sent);
}

// After the end of pid 1 only the rest of the group can be meant.
Status ContainerRun::signal(int number, bool all) {
  if (process_gone_ || child_.pid <= 0) {
    if (!all || order_.cgroup.empty()) return fail(Code::conflict, "the container has ended");
    return kill_cgroup(order_.cgroup);
  }
  if (!all) return sys::send_signal(child_.pidfd.get(), number);
  if (number == SIGKILL && !order_.cgroup.empty()) {
    if (kill_cgroup(order_.cgroup)) return {};
  }
  // Without a v2 hierarchy: the first process of a pid namespace takes the others with it.
  return sys::send_signal(child_.pidfd.get(), number);
}

bool ContainerRun::reap() {
  if (process_gone_ || !child_.pidfd) return false;
  const auto status = sys::reap(child_.pidfd.get());
  if (!status || !*status) return false;
  ended_process(**status);
  return true;
}

void ContainerRun::ended_process(const ExitStatus& status) {
  process_gone_ = true;
  // What the child still said, "ready" or why exec failed, is in the line; then it ends.
  constexpr int kMaxWords = 4;
  for (int i = 0; i < kMaxWords && control_token_ != 0; ++i)
    read_control();
  const bool ran = state_.phase == "running";
  state_.code = ran || state_.start_error.empty() ? sys::shell_code(status) : kStartErrorCode;
  state_.signal = status.signal.value_or(0);
  // The end is often noticed before the kernel's word about memory.
  tell_oom_kills();
  state_.oom_killed = oom_kills_told_ > oom_kills_at_start_;
  state_.finished_micros = micros_now();
  // Whatever the program left outside of its pid namespace dies with it.
  if (!order_.cgroup.empty()) static_cast<void>(kill_cgroup(order_.cgroup));
  if (!out_.fd && !err_.fd) return finish();
  drain_timer_ = loop_.start_timer(Steady::now() + kDrainTime, [this] {
    for (Stream* stream : {&out_, &err_}) {
      if (stream->fd) read_stream(*stream);
    }
    for (Stream* stream : {&out_, &err_}) {
      if (stream->fd) close_stream(*stream);
    }
  });
}

// The order matters: evidence, log, exit.json, and only then anybody is told.
void ContainerRun::finish() {
  if (state_.phase == "exited") return;
  loop_.stop_timer(std::exchange(drain_timer_, 0));
  loop_.unwatch(std::exchange(memory_token_, 0));
  memory_watch_.reset();
  read_termination_message();
  if (log_) log_->sync();
  state_.phase = "exited";
  // exit.json is what a later daemon finds when this shim is gone; if the directory cannot be
  // written the report over the socket still tells.
  static_cast<void>(
      write_file_durably(order_.directory + "/exit.json", to_record(state_).text() + "\n"));
  if (state_.start_error.empty()) {
    settle(fail(Code::conflict, "the container has ended"));
  } else {
    settle(fail(Code::invalid, state_.start_error));
  }
  if (durable_ && ended_) ended_(state_);
}

std::int64_t ContainerRun::read_oom_kills() const {
  return order_.oom_file.empty() ? 0 : read_oom_kill_count(order_.oom_file);
}

void ContainerRun::watch_memory() {
  if (order_.oom_file.empty()) return;
  auto opened = open_memory_watch(order_.oom_file);
  if (!opened) return;  // the evidence at exit does not need it
  memory_watch_ = std::move(opened->descriptor);
  auto token = loop_.watch(memory_watch_.get(), opened->events, [this](auto) { memory_changed(); });
  if (token) memory_token_ = *token;
}

// v1 wakes for every change of the state, so the counter decides.
void ContainerRun::memory_changed() {
  consume_memory_event(memory_watch_.get());
  tell_oom_kills();
}

void ContainerRun::tell_oom_kills() {
  const auto kills = read_oom_kills();
  if (kills <= oom_kills_told_) return;
  oom_kills_told_ = kills;
  if (out_of_memory_) out_of_memory_(state_);
}

void ContainerRun::read_termination_message() {
  if (order_.termination_path.empty()) return;
  const auto slash = order_.termination_path.find_last_of('/');
  const auto cut = read_file_head(order_.termination_path.substr(0, slash),
                                  order_.termination_path.substr(slash + 1), kMaxMessageBytes);
  if (cut) state_.message = *cut;
}

Status ContainerRun::write_state() const {
  return write_file_durably(order_.directory + "/state.json", to_record(state_).text() + "\n");
}

// Durable, so that an exit is not reported twice to a daemon that has it in its books.
Status ContainerRun::acknowledge() {
  if (state_.phase != "exited") return fail(Code::conflict, order_.name + " has not ended");
  if (state_.acknowledged) return {};
  MOORED_CHECK(write_file_durably(order_.directory + "/ack.json", "{}\n"));
  state_.acknowledged = true;
  return {};
}

void ContainerRun::rotate_log() {
  if (log_) log_->rotate(wall_now());
}

}  // namespace moored::shim
