#include "net/api/wire.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>  // before Asio, which forgets it

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "net/api/tls.hpp"

namespace moored::net::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

// What both kinds do with the socket itself.
class SocketWire : public Wire {
 public:
  explicit SocketWire(tcp::socket& socket) : executor_(socket.get_executor()) {}

  const void* executor() const override { return &executor_; }
  void discard_some(Done done) override {
    // Not a member: few connections ever need it.
    const auto place = std::make_shared<std::array<char, 4096>>();
    lowest().async_read_some(asio::buffer(*place),
                             [place, done = std::move(done)](error_code error, std::size_t got) {
                               done(static_cast<bool>(error), got);
                             });
  }
  // The word of bytes that came before may arrive only now, although they were read already: then
  // it goes on waiting, instead of taking a client that is well for one that has gone.
  void wait_readable(Ended ended) override {
    lowest().socket().async_wait(
        tcp::socket::wait_read, [this, ended = std::move(ended)](error_code error) mutable {
          if (error) return ended(true);
          char byte = 0;
          const auto got =
              ::recv(lowest().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
          if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return wait_readable(std::move(ended));
          }
          ended(false);
        });
  }
  void close() override { lowest().close(); }
  void expires_after(std::chrono::milliseconds time) override { lowest().expires_after(time); }
  void expires_never() override { lowest().expires_never(); }

 protected:
  virtual beast::tcp_stream& lowest() = 0;

  void send_no_more() {
    error_code ignored;
    lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
  }
  template <class Stream>
  static void read_from(Stream& stream, char* to, std::size_t size, Done done) {
    stream.async_read_some(asio::buffer(to, size),
                           [done = std::move(done)](error_code error, std::size_t got) {
                             done(static_cast<bool>(error), got);
                           });
  }
  template <class Stream>
  static void write_to(Stream& stream, std::string_view first, std::string_view second, Done done) {
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(first.data(), first.size()),
                                                    asio::buffer(second.data(), second.size())};
    asio::async_write(stream, buffers,
                      [done = std::move(done)](error_code error, std::size_t sent) {
                        done(static_cast<bool>(error), sent);
                      });
  }

 private:
  asio::any_io_executor executor_;
};

class PlainWire final : public SocketWire {
 public:
  explicit PlainWire(tcp::socket socket) : SocketWire(socket), stream_(std::move(socket)) {}

  void greet(Ended ended) override { ended(false); }
  void read_some(char* to, std::size_t size, Done done) override {
    read_from(stream_, to, size, std::move(done));
  }
  void write(std::string_view first, std::string_view second, Done done) override {
    write_to(stream_, first, second, std::move(done));
  }
  void end_writing(Ended ended) override {
    send_no_more();
    ended(false);
  }
  std::string peer_name() const override { return {}; }

 protected:
  beast::tcp_stream& lowest() override { return stream_; }

 private:
  beast::tcp_stream stream_;
};

// The subject's common name of a certificate that was verified.
std::string common_name(X509* certificate) {
  if (certificate == nullptr) return {};
  const auto* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

class TlsWire final : public SocketWire {
 public:
  TlsWire(tcp::socket socket, std::shared_ptr<const Tls> tls)
      : SocketWire(socket),
        tls_(std::move(tls)),
        stream_(beast::tcp_stream(std::move(socket)),
                *static_cast<asio::ssl::context*>(tls_->context())) {}

  void greet(Ended ended) override {
    stream_.async_handshake(
        asio::ssl::stream_base::server,
        [ended = std::move(ended)](error_code error) { ended(static_cast<bool>(error)); });
  }
  void read_some(char* to, std::size_t size, Done done) override {
    read_from(stream_, to, size, std::move(done));
  }
  void write(std::string_view first, std::string_view second, Done done) override {
    write_to(stream_, first, second, std::move(done));
  }
  // The peer is told inside of TLS, too, so that it can tell an end from a cut. It answers by an
  // end of its own, or is still sending; then the rest is read away below TLS.
  void end_writing(Ended ended) override {
    stream_.async_shutdown([this, ended = std::move(ended)](error_code) {
      send_no_more();
      ended(!lowest().socket().is_open());
    });
  }
  std::string peer_name() const override {
    const auto* ssl = const_cast<TlsWire*>(this)->stream_.native_handle();
    if (SSL_get_verify_result(ssl) != X509_V_OK) return {};
    return common_name(SSL_get0_peer_certificate(ssl));
  }

 protected:
  beast::tcp_stream& lowest() override { return beast::get_lowest_layer(stream_); }

 private:
  std::shared_ptr<const Tls> tls_;  // outlives the stream, which borrows its context
  beast::ssl_stream<beast::tcp_stream> stream_;
};

}  // namespace

std::shared_ptr<Wire> make_wire(asio::io_context& io, UniqueFd socket, bool six,
                                std::shared_ptr<const Tls> tls) {
  error_code error;
  tcp::socket taken(asio::make_strand(io));
  taken.assign(six ? tcp::v6() : tcp::v4(), socket.get(), error);
  if (error) return nullptr;
  socket.release();
  taken.set_option(tcp::no_delay(true), error);
  if (!tls) return std::make_shared<PlainWire>(std::move(taken));
  return std::make_shared<TlsWire>(std::move(taken), std::move(tls));
}

}  // namespace moored::net::api
