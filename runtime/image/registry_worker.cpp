#include "runtime/image/registry_worker.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "schema/host/worker_process.hpp"

namespace moored::image {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The worker keeps its own time; past this much more it is taken for stuck.
constexpr seconds kPatience{15};

Error lost(const Error& cause) {
  return Error{cause.code == Code::corrupt ? Code::internal : Code::unavailable,
               "the registry worker was lost: " + cause.message, "WorkerLost", {}, {}};
}

// The worker meets a foreign server and may have been taken over by it: what it hands on is counted
// here once more, so that it can fill neither our memory nor our disk.
class AnswerCount {
 public:
  explicit AnswerCount(const RegistryAsk& ask) : ask_(ask), left_(ask.limit) {}

  // A server that starts over sends what was there before as well.
  Status head(const RegistryHead& head) {
    if (std::exchange(begun_, true)) return broken("told two heads");
    if (head.offset != 0 && head.offset != ask_.offset) return broken("began somewhere else");
    if (head.offset == 0) left_ += ask_.offset;
    return {};
  }
  Status piece(std::string_view bytes) {
    if (!begun_) return broken("told no head");
    left_ -= static_cast<std::int64_t>(bytes.size());
    return left_ < 0 ? broken("handed on more than was asked for") : Status();
  }

 private:
  static Status broken(const char* what) {
    return Unexpected(lost(Error{Code::corrupt, std::string("it ") + what, {}, {}, {}}));
  }

  const RegistryAsk& ask_;
  std::int64_t left_;
  bool begun_ = false;
};

class WorkerLink final : public RegistryLink {
 public:
  WorkerLink(WorkerProcess worker, const RegistryAccess& access)
      : worker_(std::move(worker)),
        idle_(3 * seconds(access.idle_seconds) + kPatience),
        total_(seconds(access.total_seconds) + idle_) {}

  Status open(const RegistryAccess& access) {
    RegistryAsk hello;
    hello.access = access;
    return worker_.channel().send(write_ask(hello), kPatience);
  }

  Status ask(const RegistryAsk& ask, const RegistrySink& sink) override {
    const auto sent = worker_.channel().send(write_ask(ask), kPatience);
    if (!sent) return Unexpected(lost(sent.error()));
    const auto deadline = std::chrono::steady_clock::now() + total_;
    AnswerCount count(ask);
    for (;;) {
      const auto message = next_message(deadline);
      if (!message) return Unexpected(lost(message.error()));
      const auto answer = read_answer(*message);
      if (!answer) return Unexpected(lost(answer.error()));
      switch (answer->kind) {
        case RegistryAnswer::Kind::head:
          MOORED_CHECK(count.head(answer->head));
          MOORED_CHECK(sink.head(answer->head));
          break;
        case RegistryAnswer::Kind::piece:
          MOORED_CHECK(count.piece(answer->piece));
          MOORED_CHECK(sink.piece(answer->piece));
          break;
        case RegistryAnswer::Kind::end: return {};
        case RegistryAnswer::Kind::error: return Unexpected(answer->error);
      }
    }
  }

 private:
  Result<std::string> next_message(std::chrono::steady_clock::time_point deadline) const {
    const auto left = std::chrono::duration_cast<milliseconds>(
        deadline - std::chrono::steady_clock::now());
    return worker_.channel().receive(std::clamp(left, milliseconds(0), milliseconds(idle_)));
  }

  WorkerProcess worker_;
  // A connection, a token and some redirects may each take their time before the first byte.
  seconds idle_;
  seconds total_;
};

class WorkerConnector final : public RegistryConnector {
 public:
  explicit WorkerConnector(RegistryWorkerOptions options)
      : options_(std::move(options)), stop_(::eventfd(0, EFD_CLOEXEC)) {}

  Result<std::unique_ptr<RegistryLink>> connect(const RegistryAccess& access) override {
    MOORED_TRY(auto worker, WorkerProcess::start({options_.program, {}, options_.user},
                                                 stop_.get()));
    auto link = std::make_unique<WorkerLink>(std::move(worker), access);
    MOORED_CHECK(link->open(access));
    return std::unique_ptr<RegistryLink>(std::move(link));
  }

  // The descriptor stays readable, so later calls end as well.
  void stop() override { static_cast<void>(::eventfd_write(stop_.get(), 1)); }

 private:
  RegistryWorkerOptions options_;
  UniqueFd stop_;
};

}  // namespace

std::unique_ptr<RegistryConnector> make_registry_connector(RegistryWorkerOptions options) {
  return std::make_unique<WorkerConnector>(std::move(options));
}

}  // namespace moored::image
