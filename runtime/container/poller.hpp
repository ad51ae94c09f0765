// The one thread that reads from all shims.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/container/connection.hpp"
#include "schema/base/result.hpp"

namespace moored::container {

class Poller {
 public:
  // Told on the poll thread, once, after the connection's callers were told.
  using Lost = std::function<void(const std::shared_ptr<Connection>&)>;

  static Result<std::unique_ptr<Poller>> create(Lost lost);
  ~Poller();

  Status add(const std::shared_ptr<Connection>& connection);
  // After this the connection is not called any more, except by a call under way.
  void remove(const std::shared_ptr<Connection>& connection);

 private:
  explicit Poller(Lost lost) : lost_(std::move(lost)) {}
  void run();
  void ready(int descriptor);

  Lost lost_;
  std::shared_ptr<const UniqueFd> epoll_;  // shared with callers that may outlive the thread
  UniqueFd stop_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<Connection>> connections_;
  std::thread thread_;
};

}  // namespace moored::container
