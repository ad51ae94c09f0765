// The follower's threads; what it decides is in tracks.cpp.
#include "gitsync/follow/follower.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

#include "gitsync/follow/tracks.hpp"
#include "schema/base/log.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored {
namespace {

using git::Look;
using git::Tracks;

// Says a new error once, with what comes next.
void log_outcome(const Look& look, const std::vector<std::pair<Fact, Cause>>& facts) {
  for (const auto& [fact, cause] : facts) {
    const auto* observed = std::get_if<SourceObserved>(&fact);
    if (observed == nullptr) continue;
    if (observed->error) {
      log(LogLevel::warning, "source cannot be read; the last good revision keeps running",
          {{"source", look.source.id}, {"reason", observed->error->reason},
           {"error", observed->error->text()}});
    } else {
      log(LogLevel::info, "source is at a new revision",
          {{"source", look.source.id}, {"revision", observed->revision},
           {"author", observed->commit.author}, {"subject", observed->commit.subject}});
    }
  }
}

}  // namespace

struct GitFollower::State {
  // The listener writes an eventfd and nothing else: it runs on the store's writer thread.
  State(Ports given, GitFollowerOptions wanted)
      : ports(given),
        options(std::move(wanted)),
        wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        tracks(options.allow_local, options.allowed_urls, options.fast_forward_only) {
    subscription = ports.signal.subscribe(&State::on_revision, this);
  }
  ~State() { ports.signal.unsubscribe(subscription); }

  // Called for every commit of the store, so it must stay this small.
  static void on_revision(void* context, std::int64_t) { static_cast<State*>(context)->ring(); }
  void ring() const { static_cast<void>(::eventfd_write(wake.get(), 1)); }
  void wait_for_bell(MonoTime until) const;
  void make_look(const Look& look);
  void work();
  std::uint64_t ask(const std::string& source, std::vector<std::string>& asked);

  Ports ports;
  GitFollowerOptions options;
  UniqueFd wake;
  int subscription = 0;

  std::mutex mutex;
  std::condition_variable changed;  // a look is queued or finished, or run() ends
  Tracks tracks;                    // below the mutex, like all that follows
  std::deque<Look> queue;
  std::deque<std::string> vanished;  // sources that the reader is to forget
  std::uint64_t tickets = 0;
  bool ending = false;
};

// Performs a look without the lock, then notes it and posts its facts in order.
void GitFollower::State::make_look(const Look& look) {
  git::LookOutcome outcome = git::perform(look, ports.reader, ports.clock);
  const std::lock_guard lock(mutex);
  auto facts = tracks.settle(look, std::move(outcome), ports.clock.now(), ports.random);
  log_outcome(look, facts);
  for (auto& [fact, cause] : facts) ports.facts.post(std::move(fact), std::move(cause));
  changed.notify_all();
  ring();
}

// One of the threads that make looks. They end when run() says so, never in the middle of one.
void GitFollower::State::work() {
  for (;;) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ending || !queue.empty() || !vanished.empty(); });
    if (ending) return;
    if (!vanished.empty()) {
      const std::string id = std::move(vanished.front());
      vanished.pop_front();
      lock.unlock();
      ports.reader.forget(id);
      continue;
    }
    const Look look = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    make_look(look);
  }
}

// Sleeps until the next look is due or somebody rings: a commit, a finished look, a stop.
void GitFollower::State::wait_for_bell(MonoTime until) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - ports.clock.now().mono);
  pollfd bell{wake.get(), POLLIN, 0};
  const auto most = static_cast<std::int64_t>(std::numeric_limits<int>::max());
  ::poll(&bell, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, most)));
  // One read takes all rings together; not having been rung is no error of a non-blocking read.
  eventfd_t rung = 0;
  static_cast<void>(::eventfd_read(wake.get(), &rung));
}

// A ticket orders requests and looks: a look that began before the request does not answer it.
std::uint64_t GitFollower::State::ask(const std::string& source, std::vector<std::string>& asked) {
  // The view is taken before the lock: making one may wait for the store.
  const auto view = ports.state.view();
  const std::lock_guard lock(mutex);
  tracks.refresh(*view);
  asked = tracks.request(source, ++tickets);
  ring();
  return tickets;
}

GitFollower::GitFollower(Ports ports, GitFollowerOptions options)
    : state_(std::make_unique<State>(ports, std::move(options))) {}
GitFollower::~GitFollower() = default;

// One look at a time and inline, so that a simulation sees every fact before the next decision.
MonoTime GitFollower::step(const Now& now) {
  for (;;) {
    MonoTime next{};
    std::vector<Look> looks;
    std::vector<std::string> vanished;
    {
      const auto view = state_->ports.state.view();
      const std::lock_guard lock(state_->mutex);
      looks = state_->tracks.plan(*view, now, 1, next);
      vanished = state_->tracks.take_vanished();
    }
    for (const auto& id : vanished) state_->ports.reader.forget(id);
    if (looks.empty()) return next;
    state_->make_look(looks.front());
  }
}

// This thread only decides; looks run on the workers, so a silent server holds up one of them.
void GitFollower::run(std::stop_token stop) {
  State& state = *state_;
  const std::stop_callback ring_on_stop(stop, [&state] { state.ring(); });
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < std::max<std::size_t>(state.options.max_looks, 1); ++i) {
    workers.emplace_back([&state] { state.work(); });
  }
  while (!stop.stop_requested()) {
    MonoTime next{};
    {
      const auto view = state.ports.state.view();
      const std::lock_guard lock(state.mutex);
      // No more looks are planned than workers can begin: a look in a queue would grow stale.
      const std::size_t room = state.options.max_looks - std::min(state.options.max_looks,
                                                                  state.queue.size());
      for (auto& look : state.tracks.plan(*view, state.ports.clock.now(), room, next)) {
        state.queue.push_back(std::move(look));
      }
      for (auto& id : state.tracks.take_vanished()) state.vanished.push_back(std::move(id));
      if (!state.queue.empty() || !state.vanished.empty()) state.changed.notify_all();
    }
    state.wait_for_bell(next);
  }
  {
    const std::lock_guard lock(state.mutex);
    // Looks that are queued are dropped: they come again after a restart.
    state.ending = true;
    state.queue.clear();
  }
  state.changed.notify_all();
  for (auto& worker : workers) worker.join();
}

// Who only rings does not care which sources there are.
void GitFollower::request_look(const std::string& source) {
  std::vector<std::string> asked;
  state_->ask(source, asked);
}

Result<std::vector<LookReport>> GitFollower::sync_now(const std::string& source,
                                                      std::chrono::milliseconds timeout) {
  std::vector<std::string> asked;
  const std::uint64_t ticket = state_->ask(source, asked);
  if (asked.empty() && !source.empty()) {
    return fail(Code::not_found, "there is no source " + source);
  }
  // From here on only the finished looks are waited for; the lock is free while we sleep.
  std::unique_lock lock(state_->mutex);
  // A source that goes away or rests while we wait has nothing more to say.
  const auto is_done = [&] {
    return state_->ending || std::all_of(asked.begin(), asked.end(), [&](const std::string& id) {
             const git::SourceTrack* track = state_->tracks.find(id);
             return track == nullptr || track->suspended || track->done >= ticket;
           });
  };
  if (!state_->changed.wait_for(lock, timeout, is_done)) {
    return fail(Code::timeout, "the look at the source is not over yet");
  }
  std::vector<LookReport> reports;
  for (const auto& id : asked) {
    const git::SourceTrack* track = state_->tracks.find(id);
    if (track == nullptr) continue;
    LookReport report{id, track->revision, track->error};
    if (track->suspended) {
      report.error = Error{Code::conflict, "the source is suspended", "Suspended", {},
                           "set spec.suspend to false in Git"};
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace moored
