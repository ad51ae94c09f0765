#include "tests/privileged/own_namespace.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "net/link/namespaces.hpp"
#include "schema/base/assert.hpp"
#include "schema/host/file.hpp"

namespace moored::test {
namespace {

// Makes a socket in a namespace; sockets stay where they were made.
Result<UniqueFd> make_socket(const std::string& pin, bool udp) {
  UniqueFd fd;
  const auto make = [&]() -> Status {
    fd.reset(socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    return fd ? Status() : Status(Unexpected(system_error("socket", errno)));
  };
  if (pin.empty()) {
    MOORED_CHECK(make());
    return fd;
  }
  MOORED_TRY(const auto place, net::open_namespace(pin));
  MOORED_CHECK(net::run_inside(place.get(), make));
  return fd;
}

sockaddr_in make_address(const std::string& text, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

const sockaddr* as_sockaddr(const sockaddr_in& address) {
  return static_cast<const sockaddr*>(static_cast<const void*>(&address));
}

}  // namespace

bool have_root() {
  return geteuid() == 0;
}

OwnNamespace::OwnNamespace()
    : network_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)),
      mounts_(open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
  MOORED_ASSERT(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
  MOORED_ASSERT(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  // sysfs and procfs of the own network namespace are reached through the thread itself.
  char name[] = "/tmp/moored-test-XXXXXX";
  MOORED_ASSERT(mkdtemp(name) != nullptr);
  directory_ = name;
  MOORED_ASSERT(mount("moored-test", name, "tmpfs", 0, "mode=0700") == 0);
  MOORED_ASSERT(shell("ip link set lo up").status == 0);
}

OwnNamespace::~OwnNamespace() {
  umount2(directory_.c_str(), MNT_DETACH);
  const bool back =
      setns(network_.get(), CLONE_NEWNET) == 0 && setns(mounts_.get(), CLONE_NEWNS) == 0;
  rmdir(directory_.c_str());
  MOORED_ASSERT(back);
}

ShellOutput shell(const std::string& command) {
  ShellOutput output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  for (std::size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.out.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

struct NamedServer::State {
  UniqueFd listener;
  UniqueFd stop;
  std::string answer;
  bool udp = false;
  std::thread thread;

  // The name, or with kTellsPeer the address that asks.
  std::string get_words(const sockaddr_in& peer) const {
    if (answer != std::string(kTellsPeer) + "\n") return answer;
    char text[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text);
    return std::string(text) + "\n";
  }
  void serve_udp() {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    char buffer[256];
    if (recvfrom(listener.get(), buffer, sizeof buffer, 0,
                 static_cast<sockaddr*>(static_cast<void*>(&peer)), &size) > 0) {
      const auto words = get_words(peer);
      sendto(listener.get(), words.data(), words.size(), 0, as_sockaddr(peer), size);
    }
  }
  // Accepts, or answers one request; a closed connection is dropped.
  void serve_tcp(std::vector<UniqueFd>& open, std::size_t index) {
    if (index == 1) {
      open.emplace_back(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      return;
    }
    auto& connection = open[index - 2];
    char buffer[256];
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    getpeername(connection.get(), static_cast<sockaddr*>(static_cast<void*>(&peer)), &size);
    const auto words = get_words(peer);
    if (read(connection.get(), buffer, sizeof buffer) <= 0) {
      connection.reset();
    } else if (write(connection.get(), words.data(), words.size()) < 0) {
      connection.reset();
    }
  }
  void run() {
    std::vector<UniqueFd> open;
    for (;;) {
      std::vector<pollfd> waits{{stop.get(), POLLIN, 0}, {listener.get(), POLLIN, 0}};
      for (const auto& connection : open)
        waits.push_back({connection.get(), POLLIN, 0});
      if (poll(waits.data(), waits.size(), -1) < 0 || waits[0].revents != 0) return;
      for (std::size_t i = 1; i < waits.size(); ++i) {
        if (waits[i].revents == 0) continue;
        udp ? serve_udp() : serve_tcp(open, i);
      }
    }
  }
};

NamedServer::NamedServer(const std::string& pin, int port, std::string name, bool udp)
    : state_(new State) {
  auto fd = make_socket(pin, udp);
  MOORED_ASSERT(fd.has_value());
  state_->listener = *std::move(fd);
  state_->answer = std::move(name) + "\n";
  state_->udp = udp;
  const int on = 1;
  setsockopt(state_->listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = make_address("0.0.0.0", port);
  MOORED_ASSERT(bind(state_->listener.get(), as_sockaddr(address), sizeof address) == 0);
  MOORED_ASSERT(udp || listen(state_->listener.get(), 256) == 0);
  state_->stop.reset(eventfd(0, EFD_CLOEXEC));
  state_->thread = std::thread([this] { state_->run(); });
}

NamedServer::~NamedServer() {
  eventfd_write(state_->stop.get(), 1);
  state_->thread.join();
  delete state_;
}

Result<UniqueFd> dial(const std::string& pin, const std::string& address, int port, bool udp) {
  MOORED_TRY(auto fd, make_socket(pin, udp));
  const timeval patience{2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const auto peer = make_address(address, port);
  if (connect(fd.get(), as_sockaddr(peer), sizeof peer) < 0) {
    return Unexpected(system_error("connect", errno));
  }
  return fd;
}

Result<std::string> ask(int fd) {
  if (send(fd, "?\n", 2, MSG_NOSIGNAL) < 0) return Unexpected(system_error("send", errno));
  char buffer[256];
  const auto got = recv(fd, buffer, sizeof buffer, 0);
  if (got < 0) return Unexpected(system_error("receive", errno));
  std::string text(buffer, static_cast<std::size_t>(got));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

Result<std::string> ask_once(const std::string& pin, const std::string& address, int port) {
  MOORED_TRY(const auto fd, dial(pin, address, port));
  return ask(fd.get());
}

}  // namespace moored::test
