#include "reconciler/daemon/daemon.hpp"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "net/api/server.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "net/proxy/service_proxy.hpp"
#include "reconciler/admin/server.hpp"
#include "reconciler/daemon/api_access.hpp"
#include "reconciler/daemon/meter.hpp"
#include "reconciler/daemon/parts.hpp"
#include "reconciler/daemon/preview.hpp"
#include "reconciler/daemon/recovery.hpp"
#include "reconciler/daemon/supervisor.hpp"
#include "reconciler/daemon/teardown.hpp"
#include "reconciler/daemon/verbs.hpp"
#include "reconciler/loop/loop.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/agent.hpp"
#include "runtime/agent/executor.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "runtime/image/content_store.hpp"
#include "runtime/image/image_keeper.hpp"
#include "runtime/image/pulling_store.hpp"
#include "runtime/watch/layer_watch.hpp"
#include "schema/base/log.hpp"
#include "schema/host/memory.hpp"
#include "schema/ports/reports.hpp"

namespace moored {

namespace {

// A person waits at the other end of the admin socket: longer than a slow disk, shorter than that.
constexpr std::chrono::seconds kLongestRecording{10};
// Nothing was recorded for so long: it is quiet, and may stay so.
constexpr std::chrono::seconds kQuietTime{10};

// A signal, or 0 when none came in time.
int wait_for_signal(const sigset_t& signals, std::chrono::seconds patience) {
  const timespec time{patience.count(), 0};
  const int number = sigtimedwait(&signals, nullptr, &time);
  return number < 0 ? 0 : number;
}

// A supervisor that does not listen is no reason to stop.
void tell(const std::string& message) {
  if (const auto told = notify_supervisor(message); !told) {
    log(LogLevel::warning, "the supervisor was not told", {{"error", told.error().text()}});
  }
}

}  // namespace

struct Daemon::State {
  explicit State(std::unique_ptr<Parts> made)
      : parts(std::move(made)),
        meter(*parts),
        preview(parts->configuration.policy),
        // SIGUSR1 ends the wait of the daemon's thread; nobody outside has a use for it.
        verbs(*parts, down, [this] { pthread_kill(parts->main_thread, SIGUSR1); }) {}

  std::unique_ptr<Parts> parts;
  DownRequest down;
  DaemonMeter meter;
  DeclaredPreview preview;
  DaemonVerbs verbs;
  std::unique_ptr<AdminServer> admin;
  std::unique_ptr<net::ApiServer> api;
  std::atomic<bool> agent_stop{false};
  int agent_wake = -1;
  std::jthread loop_thread;
  std::jthread proxy_thread;
  std::jthread follower_thread;
  std::jthread keeper_thread;
  std::jthread layer_thread;
  std::thread agent_thread;
  std::unique_ptr<Watchdog> watchdog;

  std::int64_t version_before = -1;  // at the last look for quiet
  bool memory_returned = false;      // since that version

  void start_threads();
  void return_memory_when_quiet();
  void stop_deciding();
  void stop_acting();
  Result<End> serve(const std::function<Status()>& check_configuration);
  Status take_down(const DownVerb& verb);
};

void Daemon::State::start_threads() {
  auto& p = *parts;
  agent_wake = p.store->subscribe(&Agent::on_revision, p.agent.get());
  loop_thread = std::jthread([&p](std::stop_token stop) { p.loop->run(p.clock, stop); });
  proxy_thread = std::jthread([&p](std::stop_token stop) {
    wait_until_recovered(*p.store, *p.store, p.configuration.node_name, stop);
    if (!stop.stop_requested()) p.proxy->run(stop);
  });
  follower_thread = std::jthread([&p](std::stop_token stop) { p.follower->run(stop); });
  keeper_thread = std::jthread([&p](std::stop_token stop) { p.keeper->run(stop); });
  if (p.layers) layer_thread = std::jthread([&p](std::stop_token stop) { p.layers->run(stop); });
  agent_thread = std::thread([this, &p] { p.agent->run(agent_stop); });
  watchdog = std::make_unique<Watchdog>(std::vector<Pulse>{
      {"loop", [&p] { return p.loop->rounds(); }, [&p] { p.inbox.wake(); }},
      {"agent", [&p] { return p.agent->rounds(); }, [&p] { p.agent->wake(); }}});
}

// Once for each quiet time: a start or a large commit needs memory that is not needed afterwards.
void Daemon::State::return_memory_when_quiet() {
  const auto version = parts->store->view()->resource_version();
  const bool moved = std::exchange(version_before, version) != version;
  if (moved) {
    memory_returned = false;
  } else if (!std::exchange(memory_returned, true)) {
    parts->store->drop_caches();
    if (api) api->drop_caches();
    return_idle_memory();
  }
}

// No new revision and no new decision after this; the agent still acts on what is recorded.
// Safe to repeat, also after the parts themselves were taken down.
void Daemon::State::stop_deciding() {
  watchdog.reset();
  follower_thread.request_stop();
  if (parts->reader) parts->reader->stop();
  if (follower_thread.joinable()) follower_thread.join();
  loop_thread.request_stop();
  if (loop_thread.joinable()) loop_thread.join();
  parts->inbox.close();
}

void Daemon::State::stop_acting() {
  meter.close();
  agent_stop = true;
  if (parts->agent) parts->agent->wake();
  if (agent_thread.joinable()) agent_thread.join();
  if (agent_wake >= 0 && parts->store) parts->store->unsubscribe(std::exchange(agent_wake, -1));
  if (parts->pulls) parts->pulls->stop();  // its threads wake the agent
  keeper_thread.request_stop();
  if (keeper_thread.joinable()) keeper_thread.join();
  layer_thread.request_stop();
  if (layer_thread.joinable()) layer_thread.join();
  // A hook may take as long as it likes; the executor waits for what is under way.
  if (parts->sandbox) parts->sandbox->abandon_probes();
  parts->executor.reset();
  proxy_thread.request_stop();
  if (proxy_thread.joinable()) proxy_thread.join();
}

// Removes every pod from the store, lets the agent stop them, then takes away what is left.
Status Daemon::State::take_down(const DownVerb& verb) {
  stop_deciding();
  const auto result = [&]() -> Result<Value> {
    MOORED_TRY(const auto pods, forget_everything(*parts));
    MOORED_CHECK(wait_until_gone(*parts));
    stop_acting();
    MOORED_CHECK(remove_kernel_state(*parts));
    Value out = Value::make_map();
    out.put("pods", Value::of_integer(static_cast<std::int64_t>(pods)));
    return out;
  }();
  down.answer(result);
  admin.reset();
  api.reset();
  if (!result) return Unexpected(Error(result.error()));
  return remove_directories(*parts, !verb.keep_images);
}

Result<Daemon::End> Daemon::State::serve(const std::function<Status()>& check_configuration) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, number);
  for (;;) {
    const int number = wait_for_signal(signals, kQuietTime);
    if (number == 0) {
      return_memory_when_quiet();
      continue;
    }
    if (const auto verb = down.find()) {
      MOORED_CHECK(take_down(*verb));
      return End::down;
    }
    if (parts->store_damaged) return End::start_anew;
    if (number == SIGUSR1) continue;  // not from us
    if (number == SIGHUP) {
      const auto checked = check_configuration();
      if (checked) return End::reload;
      log(LogLevel::error, "the configuration is not taken; the one before stays in force",
          {{"error", checked.error().text()}});
      continue;
    }
    log(LogLevel::info, "stopping; pods go on running", {{"signal", std::to_string(number)}});
    return End::asked;
  }
}

Daemon::Daemon(std::unique_ptr<State> state) : state_(std::move(state)) {}

Daemon::~Daemon() {
  state_->admin.reset();
  state_->api.reset();
  state_->stop_deciding();
  state_->stop_acting();
}

Result<std::unique_ptr<Daemon>> Daemon::create(const Configuration& configuration) {
  net::ApiOptions api;
  SystemRandom random;
  MOORED_TRY(const auto local_token, open_access(configuration, random, api));
  MOORED_TRY(auto parts, make_parts(configuration));
  auto state = std::make_unique<State>(std::move(parts));
  auto& p = *state->parts;
  api.listen_address = configuration.listen_address;
  api.listener = std::move(p.api_listener);
  api.log_dir = configuration.log_dir;
  api.limits = configuration.api_limits;
  api.meters = {&state->meter};
  api.usage = &state->meter;
  api.preview = &state->preview;
  MOORED_TRY(state->api, net::ApiServer::start(std::move(api), *p.store, *p.store, *p.reports,
                                               p.clock));
  AdminServer::Options admin;
  admin.path = configuration.run_dir + "/admin.sock";
  admin.record = [&p](Fact fact, Cause cause) {
    return p.inbox.post_and_wait(std::move(fact), std::move(cause), kLongestRecording);
  };
  MOORED_TRY(state->admin, AdminServer::create(std::move(admin), state->verbs, p.inbox));
  const auto listen = format_listen(configuration.listen_address, state->api->port());
  MOORED_CHECK(write_api_files(configuration, listen, local_token));
  state->start_threads();
  log(LogLevel::info, "moored runs",
      {{"api", listen},
       {"node", configuration.node_name},
       {"instance", p.identity.instance},
       {"source", configuration.git_url}});
  return std::unique_ptr<Daemon>(new Daemon(std::move(state)));
}

Result<Daemon::End> Daemon::run(const std::function<Status()>& check_configuration) {
  tell("READY=1\nSTATUS=keeps node " + state_->parts->configuration.node_name);
  auto end = state_->serve(check_configuration);
  if (!end || *end != End::start_anew) tell("STOPPING=1");
  return end;
}

}  // namespace moored
