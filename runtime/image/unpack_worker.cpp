#include "runtime/image/unpack_worker.hpp"

#include <chrono>

#include "schema/host/spawn.hpp"
#include "schema/host/worker_process.hpp"

namespace moored::image {
namespace {

// The largest allowed layer at a tenth of the slowest decompression that was measured.
constexpr std::chrono::minutes kDeadline{20};

class UnpackWorker final : public Unpacker {
 public:
  UnpackWorker(std::string program, WorkerUser user)
      : program_(std::move(program)), user_(user) {}

  Result<UnpackReport> run(const UnpackRequest& request) override {
    SpawnRequest child;
    child.program = program_;
    child.arguments = {"moored-unpack", request.as_layer ? "layer" : "archive",
                       std::to_string(request.limits.bytes), std::to_string(request.limits.entries),
                       std::to_string(request.limits.ratio)};
    add_worker_user(child.arguments, user_);
    child.environment = {"LC_ALL=C.UTF-8"};
    child.descriptors = {{request.source, kUnpackSource}, {request.target, kUnpackTarget}};
    int number = kUnpackFirstLower;
    for (const int lower : request.lowers)
      child.descriptors.emplace_back(lower, number++);
    auto output = run_command(child, {}, kDeadline);
    if (!output) return Unexpected(std::move(output).error().context("unpack"));
    if (!output->status.code) {
      return fail(Code::unavailable, "moored-unpack was ended by signal " +
                                         std::to_string(output->status.signal.value_or(0)));
    }
    auto report = read_report(output->out);
    if (report && *output->status.code != 0) {
      return fail(Code::unavailable, "moored-unpack did not end well");
    }
    return report;
  }

 private:
  std::string program_;
  WorkerUser user_;
};

}  // namespace

std::unique_ptr<Unpacker> make_unpack_worker(std::string program, WorkerUser user) {
  return std::make_unique<UnpackWorker>(std::move(program), user);
}

}  // namespace moored::image
