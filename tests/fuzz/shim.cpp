// The words between daemon and shim, and the answers that probes read from containers.
#include <string>

#include "runtime/shim/order.hpp"
#include "runtime/shim/probe.hpp"
#include "runtime/shim/record.hpp"
#include "runtime/shim/wire.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace moored::shim {
namespace {

void judge_records(std::string_view text) {
  if (const auto record = Record::parse(text)) {
    const auto line = record->text();
    const auto again = Record::parse(line);
    fuzz::check(again && again->text() == line, "a record reads as what was written");
    const auto state = container_state_from(*record);
    fuzz::check(container_state_from(to_record(state)) == state, "a state is kept");
  }
  const std::string copy(text);
  if (const auto order = pod_order_from(copy)) {
    const auto again = pod_order_from(to_text(*order));
    fuzz::check(again && *again == *order, "a pod's order is kept");
  }
  if (const auto order = container_order_from(copy)) {
    const auto again = container_order_from(to_text(*order));
    fuzz::check(again && *again == *order, "a container's order is kept");
  }
}

void judge_answers(std::string_view text) {
  const auto reply = parse_http_reply(text, true, kMaxProbeOutput);
  fuzz::check(reply.body.size() <= kMaxProbeOutput, "a body is cut");
  fuzz::check(reply.progress != HttpReply::Progress::more, "an answer that ended has an end");
  (void)parse_http_reply(text, false, kMaxProbeOutput);
  const auto redirect = resolve_redirect(std::string(text), "10.0.0.1", 80, "/healthz");
  fuzz::check(redirect.other_host || redirect.path.empty() || redirect.path.front() == '/',
              "a redirect leads to a path");
  std::size_t seen = 0;
  (void)parse_health_reply(text, seen);
}

}  // namespace
}  // namespace moored::shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = moored::fuzz::text_of(bytes, size);
  moored::shim::judge_records(text);
  moored::shim::judge_answers(text);
  return 0;
}
