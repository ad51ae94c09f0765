#include "runtime/container/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace moored::container {
namespace {

Unexpected failed(const char* what) {
  return Unexpected(system_error(what, errno));
}

}  // namespace

// The thread starts last, when everything it looks at exists.
Result<std::unique_ptr<Poller>> Poller::create(Lost lost) {
  std::unique_ptr<Poller> poller(new Poller(std::move(lost)));
  poller->epoll_ = std::make_shared<const UniqueFd>(::epoll_create1(EPOLL_CLOEXEC));
  poller->stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!*poller->epoll_ || !poller->stop_) return failed("make event queue");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = poller->stop_.get();
  if (::epoll_ctl(poller->epoll_->get(), EPOLL_CTL_ADD, poller->stop_.get(), &event) != 0) {
    return failed("watch stop event");
  }
  poller->thread_ = std::thread([raw = poller.get()] { raw->run(); });
  return poller;
}

// The eventfd wakes epoll_wait; joining without the wake would wait for a shim to speak.
Poller::~Poller() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) == sizeof one) thread_.join();
}

// Under the lock, so that an event cannot arrive before the connection is in the map.
Status Poller::add(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = connection->descriptor();
  if (::epoll_ctl(epoll_->get(), EPOLL_CTL_ADD, connection->descriptor(), &event) != 0) {
    return failed("watch shim");
  }
  connections_[connection->descriptor()] = connection;
  connection->set_listening([epoll = epoll_, fd = connection->descriptor()](bool on) {
    epoll_event wanted{};
    // The end of a line is told even to who listens for nothing: once, not in a circle.
    wanted.events = on ? EPOLLIN : EPOLLONESHOT;
    wanted.data.fd = fd;
    ::epoll_ctl(epoll->get(), EPOLL_CTL_MOD, fd, &wanted);
  });
  return {};
}

// Compared by object: the number may already belong to a newer connection.
void Poller::remove(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(connection->descriptor());
  if (found == connections_.end() || found->second != connection) return;
  ::epoll_ctl(epoll_->get(), EPOLL_CTL_DEL, connection->descriptor(), nullptr);
  connections_.erase(found);
}

void Poller::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count =
        ::epoll_wait(epoll_->get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
      if (descriptor == stop_.get()) return;
      ready(descriptor);
    }
  }
}

// The lock is not held while messages are taken: their receivers may add connections.
void Poller::ready(int descriptor) {
  std::shared_ptr<Connection> connection;
  {
    const std::lock_guard lock(mutex_);
    const auto found = connections_.find(descriptor);
    if (found == connections_.end()) return;
    connection = found->second;
  }
  if (connection->read_messages()) return;
  remove(connection);
  connection->lose();
  if (lost_) lost_(connection);
}

}  // namespace moored::container
