#include "net/api/connection.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>  // before Asio, which forgets it

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/api/answer_head.hpp"
#include "net/api/head.hpp"
#include "net/api/tls.hpp"
#include "net/api/wire.hpp"

namespace moored::net::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// How much of a body goes out under one write timer.
constexpr std::size_t kPieceBytes = 256U << 10U;
constexpr std::size_t kReadBytes = 8U << 10U;
// A refused client may still be sending: this much is read away, so that it sees the answer.
constexpr std::size_t kDrainBytes = 1U << 20U;
constexpr std::chrono::seconds kDrainTime{2};

// Counts a body among those that are being sent, for as long as it lives.
class Held {
 public:
  Held() = default;
  Held(std::shared_ptr<std::atomic<std::size_t>> sum, std::size_t bytes)
      : sum_(std::move(sum)), bytes_(bytes) {
    *sum_ += bytes_;
  }
  ~Held() { release(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  Held& operator=(Held&& other) noexcept {
    release();
    sum_ = std::exchange(other.sum_, nullptr);
    bytes_ = other.bytes_;
    return *this;
  }

 private:
  void release() {
    if (sum_) *sum_ -= bytes_;
    sum_.reset();
  }
  std::shared_ptr<std::atomic<std::size_t>> sum_;  // a last connection may outlive the rest
  std::size_t bytes_ = 0;
};

// Whoever asks for much and reads slowly must not fill the memory with answers.
Response too_much_held() {
  auto refused = make_refusal(429, "too many large answers are being sent, please try again later");
  refused.headers.push_back({"Retry-After", "1"});
  return refused;
}

class LiveConnection final : public Connection,
                             public std::enable_shared_from_this<LiveConnection> {
 public:
  using Closed = std::function<void(std::uint64_t id)>;

  LiveConnection(std::shared_ptr<Wire> wire, std::shared_ptr<const Tls> tls,
                 const Accepted& accepted, ConnectionShared& shared, Closed closed);
  ~LiveConnection() override;

  void start() override;
  void wake() override;
  void shut(bool at_once) override;
  void judge_again(std::uint64_t version) override;
  std::uint64_t id() const override { return id_; }
  const std::string& remote() const override { return remote_; }
  bool waiting() const override { return waiting_; }
  bool silent() const override { return silent_; }
  bool streaming() const override { return streaming_; }

 private:
  const asio::any_io_executor& strand() const {
    return *static_cast<const asio::any_io_executor*>(wire_->executor());
  }
  void read_more();
  void on_bytes(bool failed, std::size_t size);
  void look();
  void take_request();
  std::optional<Response> judge(Request& request);
  void respond(Response response);
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
  std::shared_ptr<Wire> wire_;
  std::shared_ptr<const Tls> tls_;  // absent: plain
  std::string remote_;
  std::string local_;
  std::string peer_;  // of the client's certificate
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
  Held held_;

  std::unique_ptr<Stream> source_;
  Request asked_;                    // headers and user of what the stream answers
  std::uint64_t asked_version_ = 0;  // of the rights, from before they were asked
  asio::steady_timer timer_;
  asio::posix::stream_descriptor changes_;
  bool writing_ = false;
  bool changes_awaited_ = false;
  bool more_ = true;   // the stream has not ended
  bool news_ = false;  // woken while a chunk was being written
  std::size_t drained_ = 0;
};

LiveConnection::LiveConnection(std::shared_ptr<Wire> wire, std::shared_ptr<const Tls> tls,
                               const Accepted& accepted, ConnectionShared& shared, Closed closed)
    : id_(accepted.id),
      wire_(std::move(wire)),
      tls_(std::move(tls)),
      remote_(accepted.remote),
      local_(accepted.local),
      shared_(shared),
      closed_(std::move(closed)),
      reader_(shared.options.limits.head),
      timer_(strand()),
      changes_(strand()) {}

LiveConnection::~LiveConnection() {
  closed_(id_);
}

void LiveConnection::start() {
  asio::dispatch(strand(), [self = shared_from_this()] {
    self->wire_->expires_after(self->shared_.options.limits.header_time);
    self->wire_->greet([self](bool failed) {
      if (failed) return self->close();
      self->peer_ = self->wire_->peer_name();
      self->next_request();
    });
  });
}

void LiveConnection::wake() {
  asio::post(strand(), [self = shared_from_this()] {
    if (self->streaming_) self->pump();
  });
}

void LiveConnection::shut(bool at_once) {
  asio::post(strand(), [self = shared_from_this(), at_once] {
    self->keep_alive_ = false;
    if (at_once || self->waiting_ || self->streaming_) self->close();
  });
}

// A token that was taken away or has expired ends what was begun with it, at once and without a
// word: whoever still has one asks again.
void LiveConnection::judge_again(std::uint64_t version) {
  asio::post(strand(), [self = shared_from_this(), version] {
    if (!self->streaming_ || self->asked_version_ == version) return;
    self->asked_version_ = version;
    const auto user = self->shared_.options.admit(self->asked_, self->peer_);
    if (!user || *user != self->asked_.user) self->close();
  });
}

void LiveConnection::close() {
  error_code ignored;
  timer_.cancel();
  if (changes_.is_open()) changes_.close(ignored);
  wire_->close();
  source_.reset();
  streaming_ = false;
  // The body stays with the connection: a write under way may still look at it.
}

// ---- requests -----------------------------------------------------------------------------------

void LiveConnection::next_request() {
  if (shared_.stopping) return close();
  waiting_ = true;
  reader_ = HeadReader(shared_.options.limits.head);
  first_byte_ = false;
  body_wanted_ = false;
  const auto& limits = shared_.options.limits;
  wire_->expires_after(served_ ? limits.idle_time : limits.header_time);
  if (in_.empty()) return read_more();
  look();
}

void LiveConnection::read_more() {
  const auto old_size = in_.size();
  in_.resize(old_size + kReadBytes);
  wire_->read_some(in_.data() + old_size, kReadBytes,
                   [self = shared_from_this(), old_size](bool failed, std::size_t size) {
                     self->in_.resize(old_size + size);
                     self->on_bytes(failed, size);
                   });
}

void LiveConnection::on_bytes(bool failed, std::size_t size) {
  if (failed || size == 0) return close();
  silent_ = false;
  look();
}

void LiveConnection::look() {
  if (!first_byte_) {
    first_byte_ = true;
    wire_->expires_after(shared_.options.limits.header_time);
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
      wire_->expires_after(shared_.options.limits.body_time);
    }
  }
  if (in_.size() < reader_.size() + reader_.head().body_bytes) return read_more();
  take_request();
}

// Which machine is meant, which page asks, and who: in this order, so that a stranger's page learns
// nothing about tokens.
std::optional<Response> LiveConnection::judge(Request& request) {
  const auto& options = shared_.options;
  const auto& host = reader_.head().host;
  const bool known = is_known_host(host, local_, options.allowed_hosts) ||
                     (tls_ && is_known_host(host, local_, tls_->names()));
  if (!known) return make_refusal(421, "this server does not answer for host " + host);
  if (is_foreign_site(request)) {
    return make_refusal(403, "requests from other sites are not answered");
  }
  if (!options.admit) return std::nullopt;
  if (options.admit_version) asked_version_ = options.admit_version();
  if (auto user = options.admit(request, peer_)) {
    request.user = *std::move(user);
    asked_.user = request.user;
    asked_.headers = request.headers;
    return std::nullopt;
  }
  auto refused = make_refusal(401, "a valid token is needed: Authorization: Bearer TOKEN");
  refused.headers.push_back({"WWW-Authenticate", "Bearer realm=\"moored\""});
  return refused;
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
  wire_->expires_never();
  if (auto refused = judge(request)) {
    keep_alive_ = false;
    shared_.refused(refused->status);
    return respond(*std::move(refused));
  }
  shared_.carry(std::move(request), [self = shared_from_this()](Response response) {
    // Usually still on the strand: dispatch then goes straight on.
    asio::dispatch(self->strand(),
                   [self, shared = std::make_shared<Response>(std::move(response))]() mutable {
                     self->respond(std::move(*shared));
                   });
  });
}

// Who sends what is no request, or a write, gets one answer for each connection.
void LiveConnection::respond(Response response) {
  if (shared_.stopping || response.status == 400 || response.status == 405) keep_alive_ = false;
  // What watches for the client's end cannot be taken back.
  if (response.stream) keep_alive_ = false;
  const auto size = response.body ? response.body->size() : 0;
  if (*shared_.held_bytes + size > shared_.options.limits.held_bytes) response = too_much_held();
  body_ = response.body;
  held_ = Held(shared_.held_bytes, body_ ? body_->size() : 0);
  written_ = 0;
  out_ = make_answer_head(response, {old_, keep_alive_, shared_.clock->now().wall});
  source_ = std::move(response.stream);
  if (head_only_) {
    source_.reset();
    body_.reset();
  }
  if (source_) return start_stream();
  write_body();
}

void LiveConnection::write_body() {
  const auto left = body_ ? body_->size() - written_ : 0;
  const auto piece = std::min(left, kPieceBytes);
  const std::string_view part(left > 0 ? body_->data() + written_ : "", piece);
  wire_->expires_after(shared_.options.limits.write_time);
  wire_->write(out_, part, [self = shared_from_this(), piece](bool failed, std::size_t) {
    if (failed) return self->close();
    self->out_.clear();
    self->written_ += piece;
    if (self->body_ && self->written_ < self->body_->size()) return self->write_body();
    self->body_.reset();
    self->held_ = Held();
    if (self->keep_alive_) return self->next_request();
    self->linger();
  });
}

void LiveConnection::refuse_and_close(int status, const std::string& why) {
  waiting_ = false;
  keep_alive_ = false;
  head_only_ = false;
  shared_.refused(status);
  respond(make_refusal(status, why));
}

// Closes our side first and reads the rest away: closing with unread bytes would reset the
// connection and could take the answer with it.
void LiveConnection::linger() {
  wire_->expires_after(kDrainTime);
  wire_->end_writing([self = shared_from_this()](bool failed) {
    if (failed) return self->close();
    self->drain();
  });
}

void LiveConnection::drain() {
  wire_->discard_some([self = shared_from_this()](bool failed, std::size_t size) {
    self->drained_ += size;
    if (failed || self->drained_ > kDrainBytes) return self->close();
    self->drain();
  });
}

// ---- streams ------------------------------------------------------------------------------------

void LiveConnection::start_stream() {
  streaming_ = true;
  more_ = true;
  news_ = true;  // pull as soon as the head is out
  writing_ = true;
  source_->set_pull_bytes(shared_.options.limits.pull_bytes);
  if (const int fd = source_->change_fd(); fd >= 0) {
    error_code ignored;
    changes_.assign(::fcntl(fd, F_DUPFD_CLOEXEC, 0), ignored);
  }
  watch_peer();
  if (shared_.options.admit_version) shared_.stream_started();
  wire_->expires_after(shared_.options.limits.write_time);
  wire_->write(out_, {}, [self = shared_from_this()](bool failed, std::size_t) {
    if (failed) return self->close();
    self->writing_ = false;
    self->pump();
  });
}

// A client that goes makes the socket readable; so does one that sends more, which a stream never
// gets to: both end the stream.
void LiveConnection::watch_peer() {
  wire_->wait_readable([self = shared_from_this()](bool failed) {
    if (!failed && self->streaming_) self->close();
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
  const bool full = out_.size() >= source_->pull_bytes();
  std::array<char, 20> size{};
  const int digits = old_ ? 0 : std::snprintf(size.data(), size.size(), "%zx\r\n", out_.size());
  out_.insert(0, size.data(), static_cast<std::size_t>(digits));
  if (!old_) out_ += "\r\n";
  writing_ = true;
  news_ = news_ || full;
  wire_->expires_after(shared_.options.limits.write_time);
  wire_->write(out_, {}, [self = shared_from_this()](bool failed, std::size_t) {
    self->writing_ = false;
    if (failed || !self->source_) return self->close();
    if (!self->more_) return self->end_stream();
    if (self->news_) return self->pump();
    self->arm_timer();
  });
}

void LiveConnection::arm_timer() {
  wire_->expires_never();
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
  auto tls = shared.options.tls ? shared.options.tls->get() : nullptr;
  auto wire = make_wire(io, std::move(accepted.socket), accepted.six, tls);
  if (!wire) return nullptr;
  return std::make_shared<LiveConnection>(std::move(wire), std::move(tls), accepted, shared,
                                          std::move(closed));
}

}  // namespace moored::net::api
