#include "runtime/probe/tls_probe.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/shim/wire.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::probe {
namespace {

using Steady = std::chrono::steady_clock;
using shim::HttpReply;
using shim::ProbeAnswer;

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxReplyBytes = 64U << 10U;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL* session) const { SSL_free(session); }
};

ProbeAnswer success(std::string output) {
  return {"success", std::move(output), 0};
}
ProbeAnswer failure(std::string output) {
  return {"failure", std::move(output), 0};
}
ProbeAnswer unknown(std::string output) {
  return {"unknown", std::move(output), 0};
}

Result<UniqueFd> make_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Unexpected(system_error("make a socket", errno));
  const linger abrupt{1, 0};  // nothing is left in TIME_WAIT
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
  return fd;
}

// One connection: TLS over a socket that never blocks longer than the deadline.
class TlsExchange {
 public:
  TlsExchange(SSL_CTX& context, Steady::time_point deadline)
      : session_(SSL_new(&context)), deadline_(deadline) {}

  Status connect(const std::string& host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const std::string name = host == "localhost" || host.empty() ? "127.0.0.1" : host;
    if (::inet_pton(AF_INET, name.c_str(), &address.sin_addr) != 1) {
      return fail(Code::invalid, "host " + host + " is not an address");
    }
    MOORED_TRY(socket_, make_socket());
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

ProbeAnswer run_tls_probe(const shim::Record& request) {
  const auto deadline =
      Steady::now() + std::chrono::milliseconds(request.number_of("timeoutMillis"));
  const std::unique_ptr<SSL_CTX, FreeContext> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return unknown("make a TLS context");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const std::string& host = request.text_of("host");
  const int port = static_cast<int>(request.number_of("port"));
  std::string path = request.text_of("path");
  for (int i = 0; i <= kMaxRedirects; ++i) {
    const auto bytes = shim::make_http_request(host, port, path, request.list_of("headers"));
    if (!bytes) return unknown("a header or the path holds characters it must not");
    TlsExchange exchange(*context, deadline);
    const auto connected = exchange.connect(host, port);
    if (!connected) {
      const auto& error = connected.error();
      return error.code == Code::invalid ? unknown(error.message) : failure(error.message);
    }
    const auto reply = ask(exchange, *bytes);
    if (!reply) return failure(reply.error().message);
    if (reply->progress == HttpReply::Progress::broken) return failure("the answer is not HTTP");
    const bool good = reply->status >= 200 && reply->status < 400;
    if (!good) {
      return failure("HTTP probe failed with statuscode: " + std::to_string(reply->status));
    }
    if (reply->status < 300 || reply->location.empty()) return success(reply->body);
    const auto next = shim::resolve_redirect(reply->location, host, port, path);
    if (next.other_host) {
      return success("warning: redirected to another host: " + reply->location);
    }
    path = next.path;
  }
  return failure("stopped after 10 redirects");
}

}  // namespace moored::probe
