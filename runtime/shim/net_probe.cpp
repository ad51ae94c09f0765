// tcp, http and grpc probes: one connection at a time, driven by the loop.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/shim/probe.hpp"
#include "runtime/shim/wire.hpp"

namespace moored::shim {
namespace {

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxReplyBytes = 64U << 10U;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// The pod's own address: the first that is up and not loopback, else loopback.
std::string own_address() {
  ifaddrs* list = nullptr;
  std::string found = "127.0.0.1";
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const bool usable = entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET &&
                        (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    if (!usable) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) != nullptr) {
      found = text.data();
      break;
    }
  }
  ::freeifaddrs(list);
  return found;
}

// Numbers only: names would need the container's resolver, which may be what is broken.
bool make_address(const std::string& host, int port, Address& address) {
  if (port < 1 || port > 65535) return false;
  const auto network_port = htons(static_cast<std::uint16_t>(port));
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  const std::string name = host == "localhost" ? "127.0.0.1" : host;
  if (::inet_pton(AF_INET, name.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = network_port;
    address.size = sizeof(sockaddr_in);
    return true;
  }
  if (::inet_pton(AF_INET6, name.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = network_port;
    address.size = sizeof(sockaddr_in6);
    return true;
  }
  return false;
}

class NetProbe final : public Probe {
 public:
  NetProbe(Loop& loop, const Record& request, ProbeDone done)
      : loop_(loop),
        request_(request),
        done_(std::move(done)),
        type_(request.text_of("type")),
        host_(request.text_of("host")),
        port_(static_cast<int>(request.number_of("port"))),
        path_(request.text_of("path")) {
    if (host_.empty()) host_ = own_address();
    // The first try starts in the loop, when the caller knows this probe.
    start_ = loop_.start_timer(Steady::now(), [this] { begin(); });
  }
  NetProbe(const NetProbe&) = delete;
  NetProbe& operator=(const NetProbe&) = delete;
  ~NetProbe() override {
    loop_.stop_timer(start_);
    close();
  }

  void expire() override { finish("failure", type_ + " probe timed out"); }

 private:
  void begin() {
    if (request_.flag_of("https")) {
      return finish("unknown", "https probes are the daemon's to make");
    }
    if (type_ == "http") {
      auto bytes = make_http_request(host_, port_, path_, request_.list_of("headers"));
      if (!bytes) return finish("unknown", "a header or the path holds characters it must not");
      output_ = *std::move(bytes);
    } else if (type_ == "grpc") {
      output_ =
          make_health_request(host_ + ":" + std::to_string(port_), request_.text_of("service"));
    } else if (type_ != "tcp") {
      return finish("unknown", "unknown probe type " + type_);
    }
    connect();
  }

  void connect() {
    Address address;
    if (!make_address(host_, port_, address)) {
      return finish("unknown", "host " + host_ + " is not an address");
    }
    socket_.reset(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) return finish("unknown", std::strerror(errno));
    // Closing with a reset leaves nothing in TIME_WAIT, however often the probe comes.
    const linger abrupt{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    const auto* target = reinterpret_cast<const sockaddr*>(&address.storage);
    if (::connect(socket_.get(), target, address.size) != 0 && errno != EINPROGRESS) {
      return finish("failure", "connect to " + host_ + ":" + std::to_string(port_) + ": " +
                                   std::strerror(errno));
    }
    auto token = loop_.watch(socket_.get(), EPOLLOUT, [this](auto) { progress(); });
    if (!token) return finish("unknown", token.error().message);
    token_ = *token;
  }

  // Connect, write, read: one readiness at a time.
  void progress() {
    if (!connected_ && !finish_connecting()) return;
    if (!output_.empty()) return write_some();
    read_some();
  }

  // A tcp probe has its answer here.
  bool finish_connecting() {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) {
      finish("failure",
             "connect to " + host_ + ":" + std::to_string(port_) + ": " + std::strerror(error));
      return false;
    }
    connected_ = true;
    if (type_ != "tcp") return true;
    finish("success", "");
    return false;
  }

  void write_some() {
    const auto put = ::send(socket_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put < 0) return finish("failure", std::string("send: ") + std::strerror(errno));
    output_.erase(0, static_cast<std::size_t>(put));
    if (output_.empty()) static_cast<void>(loop_.change(token_, EPOLLIN));
  }

  void read_some() {
    std::array<char, 16384> chunk{};
    const auto got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool closed = got <= 0;
    if (got > 0) input_.append(chunk.data(), static_cast<std::size_t>(got));
    if (input_.size() > kMaxReplyBytes) return judge(true);
    judge(closed);
  }

  void judge(bool closed) {
    if (type_ == "grpc") {
      judge_health(closed);
    } else {
      judge_http(closed);
    }
  }

  // 200 to 399 is healthy; a redirect to the same host is followed.
  void judge_http(bool closed) {
    const auto reply = parse_http_reply(input_, closed, kMaxProbeOutput);
    if (reply.progress == HttpReply::Progress::more) return;
    if (reply.progress == HttpReply::Progress::broken) {
      return finish("failure", "the answer is not HTTP");
    }
    const bool redirect = reply.status >= 300 && reply.status < 400 && !reply.location.empty();
    if (redirect) {
      const auto next = resolve_redirect(reply.location, host_, port_, path_);
      if (!next.other_host) return follow(next.path);
      return finish("success", "warning: redirected to another host: " + reply.location);
    }
    const bool good = reply.status >= 200 && reply.status < 400;
    if (good) return finish("success", reply.body);
    finish("failure", "HTTP probe failed with statuscode: " + std::to_string(reply.status));
  }

  // A new connection each time, as probes never keep one.
  void follow(const std::string& path) {
    if (++redirects_ > kMaxRedirects) return finish("failure", "stopped after 10 redirects");
    close();
    connected_ = false;
    input_.clear();
    path_ = path;
    begin();
  }

  void judge_health(bool closed) {
    const auto reply = parse_health_reply(input_, frames_seen_);
    switch (reply.progress) {
      case HealthReply::Progress::serving:
        return finish("success", "SERVING");
      case HealthReply::Progress::not_serving:
      case HealthReply::Progress::broken:
        return finish("failure", reply.detail);
      case HealthReply::Progress::more:
        break;
    }
    if (closed) return finish("failure", "the server closed the connection");
    if (reply.to_send.empty()) return;
    output_ = reply.to_send;
    static_cast<void>(loop_.change(token_, EPOLLOUT));
  }

  void close() {
    loop_.unwatch(std::exchange(token_, 0));
    socket_.reset();
  }

  // Exactly once, whatever comes later on this connection.
  void finish(const std::string& outcome, const std::string& output) {
    close();
    const auto done = std::exchange(done_, nullptr);
    if (done) done({outcome, output, 0});
  }

  Loop& loop_;
  Record request_;
  ProbeDone done_;
  std::string type_;
  std::string host_;
  int port_;
  std::string path_;
  UniqueFd socket_;
  Loop::Token token_ = 0;
  Loop::Token start_ = 0;
  std::string output_;
  std::string input_;
  std::size_t frames_seen_ = 0;
  int redirects_ = 0;
  bool connected_ = false;
};

}  // namespace

std::unique_ptr<Probe> start_net_probe(Loop& loop, const Record& request, ProbeDone done) {
  return std::make_unique<NetProbe>(loop, request, std::move(done));
}

}  // namespace moored::shim
