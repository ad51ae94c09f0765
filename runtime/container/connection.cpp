#include "runtime/container/connection.hpp"

#include <poll.h>

#include <csignal>
#include <utility>

#include "runtime/shim/order.hpp"
#include "runtime/sys/process.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"

namespace moored::container {
namespace {

using std::chrono::milliseconds;

// The code whose word a shim sent.
Code code_of(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    const auto code = static_cast<Code>(i);
    if (traits(code).name == word) return code;
  }
  return Code::internal;
}

// The process behind the socket, if it is the one that wrote shim.json: a pid alone may have been
// given out again.
Result<UniqueFd> open_shim_process(int socket, const std::string& directory) {
  MOORED_TRY(const auto peer, sys::read_peer(socket));
  MOORED_TRY(auto process, open_pidfd(peer.pid));
  MOORED_TRY(const auto text, read_file(directory + "/shim.json", 4096));
  MOORED_TRY(const auto lines, shim::parse_lines(text));
  MOORED_TRY(const auto started, read_start_time(peer.pid));
  if (lines.size() != 1 || lines[0].number_of("pid") != peer.pid ||
      lines[0].number_of("startTime") != static_cast<std::int64_t>(started)) {
    return fail(Code::denied, "another process answers for the shim in " + directory);
  }
  return process;
}

}  // namespace

Result<std::shared_ptr<Connection>> Connection::create(const std::string& uid,
                                                       const std::string& directory) {
  MOORED_TRY(auto socket, sys::connect_messages(directory + "/shim.sock"));
  MOORED_TRY(auto process, open_shim_process(socket.get(), directory));
  return std::shared_ptr<Connection>(new Connection(uid, std::move(socket), std::move(process)));
}

std::shared_ptr<Connection> Connection::adopt(const std::string& uid, UniqueFd line,
                                              UniqueFd process) {
  return std::shared_ptr<Connection>(new Connection(uid, std::move(line), std::move(process)));
}

Status Connection::greet(const std::string& instance) {
  shim::Record hello;
  hello.set("op", "HELLO").set("instance", instance);
  hello.set("protoMin", shim::kProtocol).set("protoMax", shim::kProtocol);
  MOORED_TRY(const auto reply, call(std::move(hello), milliseconds(10'000)));
  if (reply.last.text_of("uid") != uid_) {
    return fail(Code::conflict, "the shim of pod " + uid_ + " says it is another pod's");
  }
  return {};
}

// From before the request leaves until the answer has come nobody else takes messages: one that
// the poll thread took would not wake whoever waits for the line.
class Connection::Reader {
 public:
  Reader(Connection& connection, bool wanted) : connection_(connection) {
    if (!wanted || !connection.listening_) return;
    {
      const std::lock_guard lock(connection.reading_);
      reads_ = !std::exchange(connection.read_by_caller_, true);
    }
    if (reads_) connection.listening_(false);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { end(); }

  explicit operator bool() const { return reads_; }
  void end() {
    if (!std::exchange(reads_, false)) return;
    {
      const std::lock_guard lock(connection_.reading_);
      connection_.read_by_caller_ = false;
    }
    connection_.listening_(true);
  }

 private:
  Connection& connection_;
  bool reads_ = false;
};

// The entry is there before the request leaves, so that no answer can come too early. A caller
// that gives up takes its entry away; the late answer then finds nobody.
Result<Connection::Reply> Connection::call(shim::Record request, milliseconds timeout,
                                           bool can_be_abandoned) {
  Reader reader(*this, !can_be_abandoned);
  std::unique_lock lock(mutex_);
  if (lost_) return fail(Code::unavailable, "the shim of pod " + uid_ + " is gone");
  const std::int64_t id = next_id_++;
  request.set("v", shim::kProtocol).set("id", id);
  pending_[id] = Pending{};
  auto sent = sys::send_message(socket_.get(), request.text());
  if (!sent) {
    pending_.erase(id);
    return Unexpected(std::move(sent).error());
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (reader) {
    lock.unlock();
    read_until(id, deadline);
    reader.end();
    lock.lock();
  }
  const bool settled =
      answered_.wait_until(lock, deadline, [&] { return is_settled(id, can_be_abandoned); });
  Pending pending = std::move(pending_[id]);
  pending_.erase(id);
  if (!settled) {
    return fail(Code::timeout,
                "the shim of pod " + uid_ + " does not answer " + request.text_of("op"));
  }
  if (!pending.done && !lost_) return fail(Code::unavailable, "the daemon stops");
  if (!pending.done) return fail(Code::unavailable, "the shim of pod " + uid_ + " is gone");
  if (!pending.reply.last.flag_of("ok")) {
    return fail(code_of(pending.reply.last.text_of("code")), pending.reply.last.text_of("error"));
  }
  return std::move(pending.reply);
}

bool Connection::is_settled(std::int64_t id, bool can_be_abandoned) const {
  return lost_ || (abandoned_ && can_be_abandoned) || pending_.at(id).done;
}

// The end of the line is left to the poll thread, which tells everybody.
void Connection::read_until(std::int64_t id, std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd set{socket_.get(), POLLIN, 0};
    if (left.count() <= 0) return;
    if (::poll(&set, 1, static_cast<int>(left.count())) > 0) {
      const std::lock_guard reading(reading_);
      if (!take_messages()) return;
    }
    const std::lock_guard lock(mutex_);
    if (is_settled(id, false)) return;
  }
}

bool Connection::has_ended(milliseconds timeout) const {
  pollfd set{process_.get(), POLLIN, 0};
  return ::poll(&set, 1, static_cast<int>(timeout.count())) > 0;
}

// Asked first, forced later: a shim that was told to go still syncs its logs.
void Connection::wait_end(milliseconds timeout) const {
  constexpr milliseconds kDeathTime{5'000};
  if (has_ended(timeout)) return;
  kill_shim();
  static_cast<void>(has_ended(kDeathTime));
}

void Connection::kill_shim() const {
  static_cast<void>(sys::send_signal(process_.get(), SIGKILL));
}

bool Connection::is_lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

void Connection::expect_end() {
  const std::lock_guard lock(mutex_);
  end_expected_ = true;
}

bool Connection::is_end_expected() const {
  const std::lock_guard lock(mutex_);
  return end_expected_;
}

bool Connection::read_messages() {
  const std::lock_guard lock(reading_);
  return read_by_caller_ || take_messages();
}

// Until the socket is empty, because one wake-up may stand for many messages.
bool Connection::take_messages() {
  for (;;) {
    auto message = sys::receive_message(socket_.get());
    if (!message && message.error().reason == "Again") return true;
    if (!message || message->empty()) return false;
    auto record = shim::Record::parse(*message);
    if (!record) return false;
    accept_message(*std::move(record));
  }
}

void Connection::accept_message(shim::Record message) {
  if (!message.text_of("event").empty()) {
    if (event_) event_(message);
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(message.number_of("id"));
  if (found == pending_.end()) return;  // nobody waits any more
  if (message.flag_of("row")) {
    found->second.reply.rows.push_back(std::move(message));
    return;
  }
  found->second.reply.last = std::move(message);
  found->second.done = true;
  answered_.notify_all();
}

void Connection::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  answered_.notify_all();
}

// Everybody who waits learns it at once instead of at a timeout.
void Connection::lose() {
  const std::lock_guard lock(mutex_);
  lost_ = true;
  answered_.notify_all();
}

}  // namespace moored::container
