// moored-probe: one HTTPS probe of a pod, from inside its network.
//
// moored-probe [--user UID --group GID], with a socket to the daemon on descriptor 3 and, unless
// the network is the node's, the pod's network namespace on 4. One request, one answer.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/probe/cell.hpp"
#include "runtime/probe/tls_probe.hpp"
#include "runtime/sys/process.hpp"
#include "schema/base/log.hpp"
#include "schema/host/worker_process.hpp"

namespace {

// The network is entered while there are rights; nothing of the pod is read before they are gone.
moored::Status serve(const moored::WorkerUser& user) {
  const moored::FrameChannel channel(moored::UniqueFd(moored::kWorkerSocket), -1);
  if (::fcntl(moored::probe::kNetworkDescriptor, F_GETFD) >= 0) {
    const moored::UniqueFd network(moored::probe::kNetworkDescriptor);
    MOORED_CHECK(moored::sys::join_namespaces(network.get(), CLONE_NEWNET));
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // the log may be a file, which cannot be written from here
  MOORED_CHECK(moored::probe::enter_cell(user));
  MOORED_TRY(const auto message, channel.receive(std::chrono::milliseconds(-1)));
  MOORED_TRY(const auto request, moored::shim::Record::parse(message));
  const auto answer = moored::probe::run_tls_probe(request);
  moored::shim::Record reply;
  reply.set("outcome", answer.outcome).set("output", answer.output);
  return channel.send(reply.text());
}

}  // namespace

int main(int count, char** values) {
  if (count == 2 && std::strcmp(values[1], "--version") == 0) {
    std::printf("moored-probe %s\n", MOORED_VERSION);
    return 0;
  }
  std::vector<std::string> arguments(values + 1, values + count);
  const auto user = moored::take_worker_user(arguments);
  if (!user || !arguments.empty()) {
    std::fprintf(stderr, "moored-probe is started by moored: [--user UID --group GID]\n");
    return 2;
  }
  const auto status = serve(*user);
  if (status) return 0;
  moored::log(moored::LogLevel::error, "moored-probe ends: " + status.error().text());
  return 1;
}
