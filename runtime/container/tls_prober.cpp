#include "runtime/container/tls_prober.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <chrono>

#include "runtime/container/probe_words.hpp"
#include "runtime/probe/tls_probe.hpp"
#include "schema/host/worker_process.hpp"

namespace moored::container {
namespace {

// The worker keeps the probe's time; this much more for its start and its end.
constexpr std::chrono::milliseconds kSlack{5'000};

ProbeResult make_failure(std::string output) {
  ProbeResult result;
  result.outcome = ProbeResult::Outcome::failure;
  result.output = std::move(output);
  return result;
}

}  // namespace

TlsProber::TlsProber(std::string program, WorkerUser user)
    : program_(std::move(program)), user_(user), stop_(::eventfd(0, EFD_CLOEXEC)) {}

Result<ProbeResult> TlsProber::run(const ProbeRequest& request,
                                   const std::string& net_namespace) const {
  WorkerOrder order{program_, {}, user_, {}};
  UniqueFd network;
  if (!net_namespace.empty()) {
    network = UniqueFd(::open(net_namespace.c_str(), O_RDONLY | O_CLOEXEC));
    if (!network) return Unexpected(system_error("open the pod's network", errno));
    order.descriptors = {{network.get(), probe::kNetworkDescriptor}};
  }
  MOORED_TRY(const auto worker, WorkerProcess::start(order, stop_.get()));
  MOORED_CHECK(worker.channel().send(write_probe(request).text(), kSlack));
  const auto message = worker.channel().receive(request.timeout + kSlack);
  if (message) {
    const auto reply = shim::Record::parse(*message);
    return reply ? read_probe(*reply) : make_failure("the answer could not be read");
  }
  if (message.error().code == Code::timeout) return make_failure("http probe timed out");
  pollfd stopped{stop_.get(), POLLIN, 0};
  if (::poll(&stopped, 1, 0) > 0) return Unexpected(message.error());
  return make_failure("the probe's process did not survive the answer");
}

// The descriptor stays readable, so that later probes end as well.
void TlsProber::stop() {
  static_cast<void>(::eventfd_write(stop_.get(), 1));
}

}  // namespace moored::container
