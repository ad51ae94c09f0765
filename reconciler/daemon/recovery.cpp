#include "reconciler/daemon/recovery.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>

#include "net/pod/routed_veth_network.hpp"
#include "reconciler/core/recovery.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/daemon/parts.hpp"
#include "reconciler/store/rescue.hpp"
#include "runtime/container/shim_files.hpp"
#include "schema/base/log.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

Result<Object> read_left_pod(const std::string& directory) {
  MOORED_TRY(const auto record, container::read_pod(directory));
  return decode_stored_json(kind_of<Pod>(), record.spec.pod_json);
}

// Versions that the lost store had given at the least.
std::int64_t find_newest_version(const std::vector<Object>& pods) {
  std::int64_t newest = 0;
  for (const Object& pod : pods) {
    newest = std::max<std::int64_t>(
        newest, std::strtoll(pod.meta().resource_version.c_str(), nullptr, 10));
  }
  return newest;
}

// In words for the condition, the event and the log.
std::string describe(const StoreLoss& loss) {
  if (loss.restored) return "the store was " + loss.reason;
  const std::string place =
      loss.set_aside.empty() ? "" : "; what was left of it lies in " + loss.set_aside;
  return "the store was lost: " + loss.reason + place;
}

// The loss is the reason of the row, so that a chain says by itself what came before it.
Status record_loss(Parts& parts, const StoreLoss& loss, const std::vector<Object>& pods) {
  const auto view = parts.store->view();
  const Now now = parts.clock.now();
  const PlanContext context{*view, now, parts.store->store_id(), parts.configuration.node_name,
                            net::format(parts.ranges.services)};
  Plan plan = plan_recovery(pods, describe(loss), context);
  for (Write& write : make_event_writes(plan.events, context)) {
    plan.writes.push_back(std::move(write));
  }
  log(LogLevel::error, loss.restored ? "the store is another one; what runs is taken over"
                                     : "the store was lost; what runs is taken over and goes on",
      {{"reason", loss.reason},
       {"setAside", loss.set_aside},
       {"pods", std::to_string(pods.size())},
       {"audit", describe_loss(loss)}});
  const Cause cause{Cause::Actor::kernel, "moored-store", describe_loss(loss)};
  const auto recorded = parts.store->record(plan, cause, now);
  if (!recorded) return Unexpected(Error(recorded.error()).context("recording what runs"));
  if (loss.restored) forget_restored(parts.configuration.state_dir + "/store");
  return {};
}

}  // namespace

std::vector<Object> read_left_pods(const std::string& run_dir) {
  std::vector<Object> pods;
  const auto uids = list_directory(run_dir + "/pods");
  if (!uids) return pods;
  for (const auto& uid : *uids) {
    auto pod = read_left_pod(run_dir + "/pods/" + uid);
    if (pod) {
      pods.push_back(*std::move(pod));
    } else {
      log(LogLevel::warning, "what a pod was made from cannot be read",
          {{"uid", uid}, {"error", pod.error().text()}});
    }
  }
  return pods;
}

// A store that is new although pods run was removed as a whole, its anchor with it.
Status open_surviving_store(Parts& parts) {
  const auto pods = read_left_pods(parts.configuration.run_dir);
  StoreOptions options;
  options.directory = parts.configuration.state_dir + "/store";
  options.given_version = find_newest_version(pods);
  options.on_damage = [&parts](const Error& error) {
    log(LogLevel::error, "the database is damaged; the daemon starts anew without it",
        {{"error", error.text()}});
    parts.store_damaged = true;
    pthread_kill(parts.main_thread, SIGUSR1);
  };
  MOORED_TRY(auto opened, open_or_rebuild(options, parts.clock.now()));
  parts.store = std::move(opened.store);
  if (!opened.loss && !pods.empty() && parts.store->audit_end().rows == 0) {
    opened.loss.emplace().reason = "the directory of the database is gone";
  }
  if (opened.loss) MOORED_CHECK(record_loss(parts, *opened.loss, pods));
  // A journal that leaves the machine makes this line a proof that nothing before it was changed.
  const auto head = parts.store->audit_end();
  log(LogLevel::info, "the audit chain goes on",
      {{"head", std::to_string(head.rows) + ":" + head.hash}});
  return {};
}

// Woken by every commit; the listener only rings.
void wait_until_recovered(const StateSource& state, RevisionSignal& signal,
                          const std::string& node_name, const std::stop_token& stop) {
  struct Bell {
    std::mutex mutex;
    std::condition_variable_any rings;
    bool rung = false;
  } bell;
  const int token = signal.subscribe(
      [](void* context, std::int64_t) {
        auto& of = *static_cast<Bell*>(context);
        const std::lock_guard lock(of.mutex);
        of.rung = true;
        of.rings.notify_all();
      },
      &bell);
  while (!stop.stop_requested() && is_recovering(*state.view(), node_name)) {
    std::unique_lock lock(bell.mutex);
    bell.rings.wait(lock, stop, [&] { return bell.rung; });
    bell.rung = false;
  }
  signal.unsubscribe(token);
}

}  // namespace moored
