#include "runtime/container/tls_probe.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "runtime/shim/probe.hpp"
#include "runtime/shim/wire.hpp"
#include "runtime/sys/process.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::container {
namespace {

using Steady = std::chrono::steady_clock;
using shim::HttpReply;
using Outcome = ProbeResult::Outcome;

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxReplyBytes = 64U << 10U;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL* session) const { SSL_free(session); }
};

ProbeResult make_result(Outcome outcome, std::string output) {
  ProbeResult result;
  result.outcome = outcome;
  result.output = std::move(output);
  return result;
}

// A socket belongs to the network of the thread that made it, wherever it is used.
Result<UniqueFd> make_socket(const std::string& net_namespace) {
  const auto open_here = []() -> Result<UniqueFd> {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return Unexpected(system_error("make a socket", errno));
    const linger abrupt{1, 0};  // nothing is left in TIME_WAIT
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    return fd;
  };
  if (net_namespace.empty()) return open_here();
  const UniqueFd space(::open(net_namespace.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return Unexpected(system_error("open the pod's network", errno));
  Result<UniqueFd> made = fail(Code::internal, "no thread ran");
  std::thread([&] {
    const auto joined = sys::join_namespaces(space.get(), CLONE_NEWNET);
    made = joined ? open_here() : Result<UniqueFd>(Unexpected(joined.error()));
  }).join();
  return made;
}

// One connection: TLS over a socket that never blocks longer than the deadline.
class TlsExchange {
 public:
  TlsExchange(SSL_CTX& context, Steady::time_point deadline)
      : session_(SSL_new(&context)), deadline_(deadline) {}

  Status connect(const std::string& net_namespace, const std::string& host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const std::string name = host == "localhost" || host.empty() ? "127.0.0.1" : host;
    if (::inet_pton(AF_INET, name.c_str(), &address.sin_addr) != 1) {
      return fail(Code::invalid, "host " + host + " is not an address");
    }
    MOORED_TRY(socket_, make_socket(net_namespace));
    const auto* target = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket_.get(), target, sizeof address) != 0) {
      if (errno != EINPROGRESS) return refused(errno);
      MOORED_CHECK(wait(POLLOUT));
      int error = 0;
      socklen_t size = sizeof error;
      if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      if (error != 0) return refused(error);
    }
    if (session_ == nullptr || SSL_set_fd(session_.get(), socket_.get()) != 1) {
      return fail(Code::exhausted, "make a TLS session");
    }
    return repeat("TLS handshake", [&] { return SSL_connect(session_.get()); });
  }

  Status write(const std::string& bytes) {
    return repeat("send", [&] {
      return SSL_write(session_.get(), bytes.data(), static_cast<int>(bytes.size()));
    });
  }

  // The end of the answer is success too: what came before is then judged.
  Status read_some(std::string& input, bool& closed) {
    std::array<char, 16384> chunk{};
    int got = 0;
    const auto status = repeat("receive", [&] {
      got = SSL_read(session_.get(), chunk.data(), static_cast<int>(chunk.size()));
      return got;
    });
    if (!status && status.error().code == Code::timeout) return status;
    closed = !status;
    if (got > 0) input.append(chunk.data(), static_cast<std::size_t>(got));
    return {};
  }

 private:
  static Status refused(int error) {
    return fail(Code::unavailable, std::string("connect: ") + std::strerror(error));
  }

  Status wait(short events) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Steady::now());
    pollfd wanted{socket_.get(), events, 0};
    if (left.count() > 0 && ::poll(&wanted, 1, static_cast<int>(left.count())) > 0) return {};
    return fail(Code::timeout, "http probe timed out");
  }

  template <class Call>
  Status repeat(const char* what, Call call) {
    for (;;) {
      ERR_clear_error();
      const int done = call();
      if (done > 0) return {};
      const int why = SSL_get_error(session_.get(), done);
      if (why == SSL_ERROR_WANT_READ) {
        MOORED_CHECK(wait(POLLIN));
      } else if (why == SSL_ERROR_WANT_WRITE) {
        MOORED_CHECK(wait(POLLOUT));
      } else {
        const char* reason = ERR_reason_error_string(ERR_get_error());
        return fail(Code::unavailable,
                    std::string(what) + ": " + (reason == nullptr ? "connection closed" : reason));
      }
    }
  }

  UniqueFd socket_;
  std::unique_ptr<SSL, FreeSession> session_;
  Steady::time_point deadline_;
};

// Asks once and reads until the answer is whole.
Result<HttpReply> ask(TlsExchange& exchange, const std::string& bytes) {
  MOORED_CHECK(exchange.write(bytes));
  std::string input;
  bool closed = false;
  for (;;) {
    MOORED_CHECK(exchange.read_some(input, closed));
    auto reply = shim::parse_http_reply(input, closed || input.size() > kMaxReplyBytes,
                                        shim::kMaxProbeOutput);
    if (reply.progress != HttpReply::Progress::more) return reply;
    if (closed || input.size() > kMaxReplyBytes) {
      return fail(Code::corrupt, "the answer is not HTTP");
    }
  }
}

}  // namespace

ProbeResult run_tls_probe(const ProbeRequest& request, const std::string& net_namespace) {
  const auto deadline = Steady::now() + request.timeout;
  const std::unique_ptr<SSL_CTX, FreeContext> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return make_result(Outcome::unknown, "make a TLS context");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  std::vector<std::string> headers;
  for (const auto& [name, value] : request.headers) headers.push_back(name + ": " + value);
  std::string path = request.path;
  for (int i = 0; i <= kMaxRedirects; ++i) {
    const auto bytes = shim::make_http_request(request.host, request.port, path, headers);
    if (!bytes) {
      return make_result(Outcome::unknown, "a header or the path holds characters it must not");
    }
    TlsExchange exchange(*context, deadline);
    const auto connected = exchange.connect(net_namespace, request.host, request.port);
    if (!connected) {
      const bool unclear = connected.error().code == Code::invalid;
      return make_result(unclear ? Outcome::unknown : Outcome::failure,
                         connected.error().message);
    }
    const auto reply = ask(exchange, *bytes);
    if (!reply) return make_result(Outcome::failure, reply.error().message);
    if (reply->progress == HttpReply::Progress::broken) {
      return make_result(Outcome::failure, "the answer is not HTTP");
    }
    const bool good = reply->status >= 200 && reply->status < 400;
    const bool redirect = good && reply->status >= 300 && !reply->location.empty();
    if (!redirect) {
      if (good) return make_result(Outcome::success, reply->body);
      return make_result(Outcome::failure, "HTTP probe failed with statuscode: " +
                                               std::to_string(reply->status));
    }
    const auto next = shim::resolve_redirect(reply->location, request.host, request.port, path);
    if (next.other_host) {
      return make_result(Outcome::success,
                         "warning: redirected to another host: " + reply->location);
    }
    path = next.path;
  }
  return make_result(Outcome::failure, "stopped after 10 redirects");
}

}  // namespace moored::container
