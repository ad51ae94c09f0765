#include "runtime/registry/service.hpp"

#include <chrono>

#include "runtime/registry/session.hpp"

namespace moored::registry {
namespace {

constexpr std::size_t kMaxPieceBytes = 256U << 10U;
const std::chrono::milliseconds kForEver{-1};

std::int64_t read_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Result<image::RegistryAsk> receive(const FrameChannel& channel) {
  MOORED_TRY(const auto message, channel.receive(kForEver));
  return image::read_ask(message);
}

// Pieces as they come are small; a frame for each would cost more than the bytes.
class PieceSender {
 public:
  explicit PieceSender(const FrameChannel& channel) : channel_(channel) {}

  Status put(std::string_view bytes) {
    waiting_.append(bytes);
    return waiting_.size() < kMaxPieceBytes ? Status() : flush();
  }
  Status flush() {
    if (waiting_.empty()) return {};
    const auto frame = image::write_piece(std::exchange(waiting_, {}));
    return channel_.send(frame);
  }

 private:
  const FrameChannel& channel_;
  std::string waiting_;
};

Status answer_one(const FrameChannel& channel, RegistrySession& session,
                  const image::RegistryAsk& ask) {
  PieceSender sender(channel);
  const AnswerSink sink{
      [&](const image::RegistryHead& head) { return channel.send(image::write_head(head)); },
      [&](std::string_view bytes) { return sender.put(bytes); }};
  const auto status = session.answer(ask, sink);
  // What came before the connection broke is of use: the rest is asked for by its offset.
  MOORED_CHECK(sender.flush());
  return channel.send(status ? image::write_end() : image::write_failure(status.error()));
}

}  // namespace

Status serve(const FrameChannel& channel) {
  MOORED_TRY(const auto first, receive(channel));
  HttpLimits limits{first.access.idle_seconds, first.access.total_seconds,
                    first.access.certificates};
  const auto client = make_http_client(std::move(limits));
  MOORED_TRY(auto session, RegistrySession::create(first.access, *client, &read_seconds));
  for (;;) {
    const auto ask = receive(channel);
    if (!ask && ask.error().code == Code::unavailable) return {};
    if (!ask) return Unexpected(ask.error());
    MOORED_CHECK(answer_one(channel, session, *ask));
  }
}

}  // namespace moored::registry
