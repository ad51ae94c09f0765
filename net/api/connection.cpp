#include "net/api/connection.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>  // before Asio, which forgets it

#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "net/api/failure.hpp"
#include "net/api/head.hpp"

namespace moored::net::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

// How much of a body goes out under one write timer.
constexpr std::size_t kPieceBytes = 256U << 10U;
constexpr std::size_t kReadBytes = 8U << 10U;
// A refused client may still be sending: this much is read away, so that it sees the answer.
constexpr std::size_t kDrainBytes = 1U << 20U;
constexpr std::chrono::seconds kDrainTime{2};

std::string http_date(Time now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::time_t when = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  std::array<char, 40> text{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text.data(), size);
}

// A header value cannot start another line, whoever wrote it.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value)
    out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  out += "\r\n";
}

std::string_view reason_of(int status) {
  switch (status) {
    case 403:
      return "Forbidden";
    case 413:
      return "RequestEntityTooLarge";
    case 421:
      return "MisdirectedRequest";
    case 505:
      return "HTTPVersionNotSupported";
    default:
      return "BadRequest";
  }
}

Response refusal(int status, const std::string& why) {
  auto failure = bad_request(why);
  failure.code = status;
  failure.reason = reason_of(status);
  return refuse(failure);
}

class LiveConnection final : public Connection,
                             public std::enable_shared_from_this<LiveConnection> {
 public:
  using Closed = std::function<void(std::uint64_t id)>;

  LiveConnection(asio::ip::tcp::socket socket, const Accepted& accepted, ConnectionShared& shared,
                 Closed closed);
  ~LiveConnection() override;

  void start() override;
  void wake() override;
  void shut(bool at_once) override;
  std::uint64_t id() const override { return id_; }
  const std::string& remote() const override { return remote_; }
  bool waiting() const override { return waiting_; }
  bool silent() const override { return silent_; }
  bool streaming() const override { return streaming_; }

 private:
  void read_more();
  void on_bytes(error_code error, std::size_t size);
  void look();
  void take_request();
  std::optional<Response> judge(const Request& request) const;
  void respond(Response response);
  void write_head(const Response& response);
  void write_body();
  void next_request();
  void refuse_and_close(int status, const std::string& why);
  void linger();
  void drain();
  void close();

  void start_stream();
  void watch_peer();
  void watch_changes();
  void pump();
  void write_chunk();
  void end_stream();
  void arm_timer();

  std::uint64_t id_;
  beast::tcp_stream stream_;
  std::string remote_;
  std::string local_;
  ConnectionShared& shared_;
  Closed closed_;
  std::string in_;  // received and not yet taken
  HeadReader reader_;
  bool first_byte_ = false;   // of the request that is being read
  bool body_wanted_ = false;  // the head is complete, its body is not
  bool served_ = false;       // one request was answered already
  bool head_only_ = false;
  bool keep_alive_ = true;
  bool old_ = false;  // HTTP/1.0
  std::atomic<bool> waiting_{true};
  std::atomic<bool> silent_{true};
  std::atomic<bool> streaming_{false};

  std::string out_;  // head of an answer, or a chunk
  Body body_;
  std::size_t written_ = 0;  // of body_

  std::unique_ptr<Stream> source_;
  asio::steady_timer timer_;
  asio::posix::stream_descriptor changes_;
  bool writing_ = false;
  bool changes_awaited_ = false;
  bool more_ = true;   // the stream has not ended
  bool news_ = false;  // woken while a chunk was being written
  std::size_t drained_ = 0;
};

LiveConnection::LiveConnection(asio::ip::tcp::socket socket, const Accepted& accepted,
                               ConnectionShared& shared, Closed closed)
    : id_(accepted.id),
      stream_(std::move(socket)),
      remote_(accepted.remote),
      local_(accepted.local),
      shared_(shared),
      closed_(std::move(closed)),
      reader_(shared.options.limits.head),
      timer_(stream_.get_executor()),
      changes_(stream_.get_executor()) {}

LiveConnection::~LiveConnection() {
  closed_(id_);
}

void LiveConnection::start() {
  asio::dispatch(stream_.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    self->next_request();
  });
}

void LiveConnection::wake() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    if (self->streaming_) self->pump();
  });
}

void LiveConnection::shut(bool at_once) {
  asio::post(stream_.get_executor(), [self = shared_from_this(), at_once] {
    self->keep_alive_ = false;
    if (at_once || self->waiting_ || self->streaming_) self->close();
  });
}

void LiveConnection::close() {
  error_code ignored;
  timer_.cancel();
  if (changes_.is_open()) changes_.close(ignored);
  stream_.close();
  source_.reset();
  streaming_ = false;
}

// ---- requests -----------------------------------------------------------------------------------

void LiveConnection::next_request() {
  if (shared_.stopping) return close();
  waiting_ = true;
  reader_ = HeadReader(shared_.options.limits.head);
  first_byte_ = false;
  body_wanted_ = false;
  const auto& limits = shared_.options.limits;
  stream_.expires_after(served_ ? limits.idle_time : limits.header_time);
  if (in_.empty()) return read_more();
  look();
}

void LiveConnection::read_more() {
  const auto old_size = in_.size();
  in_.resize(old_size + kReadBytes);
  stream_.async_read_some(
      asio::buffer(in_.data() + old_size, kReadBytes),
      [self = shared_from_this(), old_size](error_code error, std::size_t size) {
        self->in_.resize(old_size + size);
        self->on_bytes(error, size);
      });
}

void LiveConnection::on_bytes(error_code error, std::size_t size) {
  if (error || size == 0) return close();
  silent_ = false;
  look();
}

void LiveConnection::look() {
  if (!first_byte_) {
    first_byte_ = true;
    stream_.expires_after(shared_.options.limits.header_time);
  }
  if (!body_wanted_) {
    switch (reader_.read(in_)) {
      case HeadReader::State::more:
        return read_more();
      case HeadReader::State::refused:
        return refuse_and_close(reader_.status(), reader_.reason());
      case HeadReader::State::ready:
        break;
    }
    if (reader_.head().body_bytes > shared_.options.limits.body_bytes) {
      return refuse_and_close(413, "the body is longer than " +
                                       std::to_string(shared_.options.limits.body_bytes) +
                                       " bytes");
    }
    body_wanted_ = true;
    if (in_.size() < reader_.size() + reader_.head().body_bytes) {
      stream_.expires_after(shared_.options.limits.body_time);
    }
  }
  if (in_.size() < reader_.size() + reader_.head().body_bytes) return read_more();
  take_request();
}

std::optional<Response> LiveConnection::judge(const Request& request) const {
  if (!is_known_host(reader_.head().host, local_, shared_.options.allowed_hosts)) {
    return refusal(421, "this server does not answer for host " + reader_.head().host);
  }
  if (is_foreign_site(request)) return refusal(403, "requests from other sites are not answered");
  return std::nullopt;
}

void LiveConnection::take_request() {
  const auto& head = reader_.head();
  Request request;
  request.method = head.method;
  const auto mark = head.target.find('?');
  request.path = head.target.substr(0, mark);
  if (mark != std::string::npos) request.query = head.target.substr(mark + 1);
  request.headers = head.headers;
  request.body = in_.substr(reader_.size(), head.body_bytes);
  in_.erase(0, reader_.size() + head.body_bytes);
  waiting_ = false;
  served_ = true;
  head_only_ = head.method == "HEAD";
  keep_alive_ = head.keep_alive;
  old_ = head.old;
  stream_.expires_never();
  if (auto refused = judge(request)) {
    keep_alive_ = false;
    shared_.refused(refused->status);
    return respond(*std::move(refused));
  }
  shared_.carry(std::move(request), [self = shared_from_this()](Response response) {
    // Usually still on the strand: dispatch then goes straight on.
    asio::dispatch(self->stream_.get_executor(),
                   [self, shared = std::make_shared<Response>(std::move(response))]() mutable {
                     self->respond(std::move(*shared));
                   });
  });
}

// Who sends what is no request, or a write, gets one answer for each connection.
void LiveConnection::respond(Response response) {
  if (shared_.stopping || response.status == 400 || response.status == 405) keep_alive_ = false;
  source_ = std::move(response.stream);
  if (source_) keep_alive_ = false;  // what watches for the client's end cannot be taken back
  body_ = response.body;
  written_ = 0;
  write_head(response);
  if (head_only_) {
    source_.reset();
    body_.reset();
  }
  if (source_) return start_stream();
  write_body();
}

void LiveConnection::write_head(const Response& response) {
  out_ = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out_ += status_words(response.status);
  out_ += "\r\n";
  append_header(out_, "Date", http_date(shared_.clock->now().wall));
  append_header(out_, "Content-Type", response.content_type);
  append_header(out_, "Cache-Control", "no-cache, private");
  append_header(out_, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers)
    append_header(out_, name, value);
  if (!source_) {
    append_header(out_, "Content-Length", std::to_string(body_ ? body_->size() : 0));
  } else if (!old_) {
    append_header(out_, "Transfer-Encoding", "chunked");
  }
  if (!keep_alive_) append_header(out_, "Connection", "close");
  if (keep_alive_ && old_) append_header(out_, "Connection", "keep-alive");
  out_ += "\r\n";
}

void LiveConnection::write_body() {
  const auto left = body_ ? body_->size() - written_ : 0;
  const auto piece = std::min(left, kPieceBytes);
  const std::array<asio::const_buffer, 2> buffers{
      asio::buffer(out_), asio::buffer(left > 0 ? body_->data() + written_ : "", piece)};
  stream_.expires_after(shared_.options.limits.write_time);
  asio::async_write(stream_, buffers,
                    [self = shared_from_this(), piece](error_code error, std::size_t) {
                      if (error) return self->close();
                      self->out_.clear();
                      self->written_ += piece;
                      if (self->body_ && self->written_ < self->body_->size()) {
                        return self->write_body();
                      }
                      self->body_.reset();
                      if (self->keep_alive_) return self->next_request();
                      self->linger();
                    });
}

void LiveConnection::refuse_and_close(int status, const std::string& why) {
  waiting_ = false;
  keep_alive_ = false;
  head_only_ = false;
  shared_.refused(status);
  respond(refusal(status, why));
}

// Closes our side first and reads the rest away: closing with unread bytes would reset the
// connection and could take the answer with it.
void LiveConnection::linger() {
  error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(kDrainTime);
  drain();
}

void LiveConnection::drain() {
  in_.resize(kReadBytes);
  stream_.async_read_some(asio::buffer(in_.data(), in_.size()),
                          [self = shared_from_this()](error_code error, std::size_t size) {
                            self->drained_ += size;
                            if (error || self->drained_ > kDrainBytes) return self->close();
                            self->drain();
                          });
}

// ---- streams ------------------------------------------------------------------------------------

void LiveConnection::start_stream() {
  streaming_ = true;
  more_ = true;
  news_ = true;  // pull as soon as the head is out
  writing_ = true;
  if (const int fd = source_->change_fd(); fd >= 0) {
    error_code ignored;
    changes_.assign(::fcntl(fd, F_DUPFD_CLOEXEC, 0), ignored);
  }
  watch_peer();
  stream_.expires_after(shared_.options.limits.write_time);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (error) return self->close();
                      self->writing_ = false;
                      self->pump();
                    });
}

// A client that goes makes the socket readable; so does one that sends more, which a stream never
// gets to: both end the stream.
void LiveConnection::watch_peer() {
  stream_.socket().async_wait(asio::ip::tcp::socket::wait_read,
                              [self = shared_from_this()](error_code error) {
                                if (!error && self->streaming_) self->close();
                              });
}

// Waits for the descriptor only while nothing is being written: it stays readable until the next
// pull, which a slow reader may keep away for long.
void LiveConnection::watch_changes() {
  if (!changes_.is_open() || changes_awaited_) return;
  changes_awaited_ = true;
  changes_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](error_code error) {
                        self->changes_awaited_ = false;
                        if (!error && self->streaming_) self->pump();
                      });
}

void LiveConnection::pump() {
  if (!source_) return;
  if (writing_) {
    news_ = true;
    return;
  }
  news_ = false;
  out_.clear();
  more_ = source_->pull(shared_.clock->now(), out_);
  if (!out_.empty()) return write_chunk();
  if (!more_) return end_stream();
  arm_timer();
}

void LiveConnection::write_chunk() {
  const bool full = out_.size() >= Stream::kPullBytes;
  std::array<char, 20> size{};
  const int digits = old_ ? 0 : std::snprintf(size.data(), size.size(), "%zx\r\n", out_.size());
  out_.insert(0, size.data(), static_cast<std::size_t>(digits));
  if (!old_) out_ += "\r\n";
  writing_ = true;
  news_ = news_ || full;
  stream_.expires_after(shared_.options.limits.write_time);
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      self->writing_ = false;
                      if (error || !self->source_) return self->close();
                      if (!self->more_) return self->end_stream();
                      if (self->news_) return self->pump();
                      self->arm_timer();
                    });
}

void LiveConnection::arm_timer() {
  stream_.expires_never();
  watch_changes();
  const auto wait = source_->next_due() - shared_.clock->now().mono;
  timer_.expires_after(std::max<Duration>(wait, std::chrono::milliseconds(1)));
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->streaming_) self->pump();
  });
}

void LiveConnection::end_stream() {
  streaming_ = false;
  error_code ignored;
  timer_.cancel();
  if (changes_.is_open()) changes_.close(ignored);
  source_.reset();
  out_ = old_ ? "" : "0\r\n\r\n";
  write_body();
}

}  // namespace

std::shared_ptr<Connection> make_connection(asio::io_context& io, Accepted accepted,
                                            ConnectionShared& shared,
                                            std::function<void(std::uint64_t)> closed) {
  error_code error;
  asio::ip::tcp::socket socket(asio::make_strand(io));
  const auto protocol = accepted.six ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
  socket.assign(protocol, accepted.socket.get(), error);
  if (error) return nullptr;
  accepted.socket.release();
  return std::make_shared<LiveConnection>(std::move(socket), accepted, shared, std::move(closed));
}

}  // namespace moored::net::api
