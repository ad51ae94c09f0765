#include "reconciler/daemon/teardown.hpp"

#include <thread>

#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "net/proxy/service_proxy.hpp"
#include "reconciler/daemon/parts.hpp"
#include "reconciler/loop/loop.hpp"
#include "reconciler/loop/reports.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/agent.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "runtime/image/content_store.hpp"
#include "runtime/image/image_keeper.hpp"
#include "runtime/image/pulling_store.hpp"
#include "schema/host/file.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLongestStop{120};
constexpr milliseconds kLookAgain{50};

std::vector<std::string> pods_left(const std::string& run_dir) {
  auto names = list_directory(run_dir + "/pods");
  return names ? std::move(*names) : std::vector<std::string>();
}

}  // namespace

Result<std::size_t> forget_everything(Parts& parts) {
  const auto view = parts.store->view();
  Plan plan;
  std::size_t pods = 0;
  for (const auto* kind : all_kinds()) {
    if (kind->kind == "Namespace" || kind->kind == "Node" || kind->kind == "Event") continue;
    for (const auto& object : view->list(*kind)) {
      pods += object.is<Pod>() ? 1 : 0;
      plan.remove(object.key(), "down");
    }
  }
  const Cause cause{Cause::Actor::operator_, "moorctl down", "everything is taken down"};
  MOORED_TRY(const auto recorded, parts.store->record(plan, cause, parts.clock.now()));
  static_cast<void>(recorded);
  parts.agent->wake();
  return pods;
}

Status wait_until_gone(Parts& parts) {
  const auto end = steady_clock::now() + kLongestStop;
  for (;;) {
    const auto left = pods_left(parts.configuration.run_dir);
    if (left.empty()) return {};
    if (steady_clock::now() > end) {
      return fail(Code::timeout, std::to_string(left.size()) + " pods do not end, the first is " +
                                     left.front());
    }
    std::this_thread::sleep_for(kLookAgain);
  }
}

Status remove_kernel_state(Parts& parts) {
  MOORED_CHECK(parts.proxy->remove_all());
  MOORED_CHECK(parts.network->remove_all());
  return parts.sandbox->release();
}

Status remove_directories(Parts& parts, bool all) {
  const auto configuration = parts.configuration;
  MOORED_CHECK(remove_tree(configuration.run_dir));
  if (!all) return {};
  // Nothing may write any more when its directory goes.
  parts.loop.reset();
  parts.follower.reset();
  parts.reader.reset();
  parts.agent.reset();
  parts.proxy.reset();
  parts.reports.reset();
  parts.pulls.reset();
  parts.keeper.reset();
  parts.images.reset();
  parts.sandbox.reset();
  parts.network.reset();
  parts.store.reset();
  MOORED_CHECK(remove_tree(configuration.state_dir));
  return remove_tree(configuration.log_dir);
}

}  // namespace moored
