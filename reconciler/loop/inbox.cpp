#include "reconciler/loop/inbox.hpp"

#include <algorithm>
#include <utility>

#include "schema/base/assert.hpp"

namespace moored {
namespace {

// True when the newer fact says everything that the older one says.
bool replaces(const Fact& newer, const Fact& older) {
  if (newer.index() != older.index()) return false;
  if (const auto* pod = std::get_if<PodObserved>(&newer)) {
    const auto& before = std::get<PodObserved>(older);
    return pod->uid == before.uid && pod->pod == before.pod && !before.gone;
  }
  if (const auto* node = std::get_if<NodeObserved>(&newer)) {
    return node->node == std::get<NodeObserved>(older).node;
  }
  if (const auto* drift = std::get_if<DriftObserved>(&newer)) {
    return drift->record.id == std::get<DriftObserved>(older).record.id;
  }
  return std::holds_alternative<ProxyApplied>(newer);
}

// Facts of which a newer one may take an older one's place.
bool is_level(const Fact& fact) {
  return std::holds_alternative<PodObserved>(fact) || std::holds_alternative<NodeObserved>(fact) ||
         std::holds_alternative<DriftObserved>(fact) || std::holds_alternative<ProxyApplied>(fact);
}

// A pod's first start is told once: a replacing fact keeps it.
void keep_start(PodObserved& newer, const PodObserved& older) {
  if (!newer.started_at) newer.started_at = older.started_at;
}

}  // namespace

// Called with the lock. False: there is no room, and the fact is left out.
bool Inbox::push(PostedFact posted) {
  news_waiting_ = true;
  const auto older =
      is_level(posted.fact)
          ? std::find_if(
                facts_.rbegin(), facts_.rend(),
                [&](const PostedFact& waiting) { return replaces(posted.fact, waiting.fact); })
          : facts_.rend();
  if (older != facts_.rend()) {
    if (auto* pod = std::get_if<PodObserved>(&posted.fact)) {
      keep_start(*pod, std::get<PodObserved>(older->fact));
    }
    *older = std::move(posted);
    return true;
  }
  const bool story = std::holds_alternative<EventObserved>(posted.fact);
  if (facts_.size() >= (story ? kMaxStories : kMaxFacts)) {
    ++left_out_;
    return false;
  }
  facts_.push_back(std::move(posted));
  return true;
}

void Inbox::post(Fact fact, Cause cause) {
  {
    const std::lock_guard lock(mutex_);
    if (!push({std::move(fact), std::move(cause)})) return;
  }
  news_.notify_one();
}

// A level is not waited for: a newer one may take its place.
Status Inbox::post_and_wait(Fact fact, Cause cause, std::chrono::milliseconds longest) {
  MOORED_ASSERT(!is_level(fact));
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = ++last_ticket_;
  if (!push({std::move(fact), std::move(cause), ticket})) {
    return fail(Code::exhausted, std::to_string(kMaxFacts) + " facts wait to be recorded already");
  }
  tickets_[ticket];
  news_.notify_one();
  settled_.wait_for(lock, longest, [&] { return closed_ || tickets_[ticket].has_value(); });
  const auto outcome = tickets_.extract(ticket).mapped();
  if (outcome) return *outcome;
  return Unexpected(Error{Code::unavailable,
                          closed_ ? "the daemon is ending" : "the store does not take it",
                          "NotRecorded", {}, "look into the daemon's log, then try again"});
}

void Inbox::settle(const std::vector<PostedFact>& facts, const Status& outcome) {
  {
    const std::lock_guard lock(mutex_);
    for (const PostedFact& posted : facts) {
      const auto waiting = tickets_.find(posted.ticket);
      if (waiting != tickets_.end() && !waiting->second) waiting->second = outcome;
    }
  }
  settled_.notify_all();
}

void Inbox::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  settled_.notify_all();
}

std::vector<PostedFact> Inbox::take(std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::vector<PostedFact> out;
  while (!facts_.empty() && out.size() < limit) {
    out.push_back(std::move(facts_.front()));
    facts_.pop_front();
  }
  return out;
}

void Inbox::put_back(std::vector<PostedFact> facts) {
  const std::lock_guard lock(mutex_);
  for (auto fact = facts.rbegin(); fact != facts.rend(); ++fact) {
    const bool replaced = is_level(fact->fact) &&
                          std::any_of(facts_.begin(), facts_.end(), [&](const PostedFact& newer) {
                            return replaces(newer.fact, fact->fact);
                          });
    if (!replaced) facts_.push_front(std::move(*fact));
  }
}

bool Inbox::wait_until(std::optional<MonoTime> due, const Clock& clock, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto is_news = [&] { return news_waiting_; };
  if (due) {
    const Duration rest = std::max(*due - clock.now().mono, Duration::zero());
    news_.wait_for(lock, stop, rest, is_news);
  } else {
    news_.wait(lock, stop, is_news);
  }
  return std::exchange(news_waiting_, false);
}

void Inbox::wake() {
  {
    const std::lock_guard lock(mutex_);
    news_waiting_ = true;
  }
  news_.notify_one();
}

std::size_t Inbox::size() const {
  const std::lock_guard lock(mutex_);
  return facts_.size();
}

std::size_t Inbox::left_out() const {
  const std::lock_guard lock(mutex_);
  return left_out_;
}

}  // namespace moored
