// The daemon's line to one shim.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/shim/record.hpp"
#include "schema/base/result.hpp"
#include "schema/host/spawn.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::container {

// Requests may be under way from several threads. One caller at a time reads the line itself, as
// the answer that it waits for nearly always comes next; else the poll thread brings the answers.
class Connection {
 public:
  struct Reply {
    shim::Record last;
    std::vector<shim::Record> rows;  // of LIST
  };
  // Told on the thread that reads. Must not call back into the connection.
  using Event = std::function<void(const shim::Record&)>;

  // Connects and checks that the peer is the process the pod's directory names. No HELLO yet: no
  // thread reads the answers before the connection is added to a Poller.
  // Errors: unavailable (nobody listens), denied (another process answers).
  static Result<std::shared_ptr<Connection>> create(const std::string& uid,
                                                    const std::string& directory);

  // Over a line that was made with the shim: greeted already. process: a pidfd of the shim.
  static std::shared_ptr<Connection> adopt(const std::string& uid, UniqueFd line, UniqueFd process);

  // Says who is speaking; from here on this connection may change things.
  Status greet(const std::string& instance);
  // Sends a request and waits for its answer. Errors: what the shim says, timeout, unavailable
  // (the shim is gone, or the call can be abandoned and was).
  Result<Reply> call(shim::Record request, std::chrono::milliseconds timeout,
                     bool can_be_abandoned = false);
  // Calls that can be abandoned are not waited for any more, from now on.
  void abandon();

  void set_event(Event event) { event_ = std::move(event); }
  // How the poll thread is told to read this line, or to leave it to a caller.
  using Listening = std::function<void(bool)>;
  void set_listening(Listening listening) { listening_ = std::move(listening); }
  const std::string& uid() const { return uid_; }
  int descriptor() const { return socket_.get(); }
  // Waits for the shim's own end, after SHUTDOWN; kills it when the time is over.
  void wait_end(std::chrono::milliseconds timeout) const;
  void kill_shim() const;
  // Whether the process ends within the time.
  bool has_ended(std::chrono::milliseconds timeout) const;
  bool is_lost() const;
  // The shim was told to go: its end is no loss.
  void expect_end();
  bool is_end_expected() const;

  // For the poll thread: takes what is there now, unless a caller does. False: the peer is gone.
  bool read_messages();
  void lose();

 private:
  struct Pending {
    Reply reply;
    bool done = false;
  };
  Connection(std::string uid, UniqueFd socket, UniqueFd process)
      : uid_(std::move(uid)), socket_(std::move(socket)), process_(std::move(process)) {}
  void accept_message(shim::Record message);
  bool is_settled(std::int64_t id, bool can_be_abandoned) const;
  class Reader;
  bool take_messages();
  void read_until(std::int64_t id, std::chrono::steady_clock::time_point deadline);

  std::string uid_;
  UniqueFd socket_;
  UniqueFd process_;
  Event event_;
  Listening listening_;
  std::mutex reading_;  // messages are taken and accepted in their order
  bool read_by_caller_ = false;  // under reading_
  mutable std::mutex mutex_;
  std::condition_variable answered_;
  std::map<std::int64_t, Pending> pending_;
  std::int64_t next_id_ = 1;
  bool lost_ = false;
  bool abandoned_ = false;
  bool end_expected_ = false;
};

}  // namespace moored::container
