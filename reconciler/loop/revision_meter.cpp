#include "reconciler/loop/revision_meter.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "reconciler/loop/receipts.hpp"
#include "reconciler/store/store.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

constexpr std::size_t kChangesAtOnce = 500;
constexpr std::array<std::string_view, 5> kOutcomes{"ready", "failed", "refused", "held",
                                                    "superseded"};

// From a fraction of a second to the deadline of a rollout.
std::vector<double> ready_bounds() {
  return {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};
}

std::optional<Time> time_of(const std::vector<ReceiptEntry>& steps, std::string_view name) {
  for (const auto& entry : steps) {
    if (entry.step == name) return entry.time;
  }
  return std::nullopt;
}

}  // namespace

// What stands in the store now is known; what of it has ended is not counted.
RevisionMeter::RevisionMeter(const Store& store)
    : store_(store), counts_(Counts{0, {}, {}, Histogram(ready_bounds())}) {
  counts_.with([&](Counts& counts) {
    const auto view = store_.view();
    counts.read_version = view->resource_version();
    for (const auto& revision : current_revisions(*view))
      counts.open[revision];
    follow(counts, *view, false);
  });
}

// A revision is in the store's history although a newer one has replaced it meanwhile. History that
// is gone already cannot be counted; what units are at now still is.
void RevisionMeter::find_new(Counts& counts, const StateView& view) const {
  std::size_t found = kChangesAtOnce;
  while (found == kChangesAtOnce && counts.open.size() < kMaxOpen) {
    const auto changes =
        store_.changes_since(&kind_of<Kustomization>(), counts.read_version, kChangesAtOnce);
    if (!changes) break;
    found = changes->size();
    for (const auto& change : *changes) {
      const auto& status = change.object.as<Kustomization>().status;
      if (!status.last_attempted_revision.empty()) counts.open[status.last_attempted_revision];
      counts.read_version = change.resource_version;
    }
  }
  counts.read_version = std::max(counts.read_version, view.resource_version());
  for (const auto& revision : current_revisions(view))
    counts.open[revision];
}

// Each outcome of a revision counts once: one that failed may become ready after all. One that no
// unit is at any more has ended.
void RevisionMeter::follow(Counts& counts, const StateView& view, bool count) const {
  const auto current = current_revisions(view);
  for (auto it = counts.open.begin(); it != counts.open.end();) {
    auto& [revision, told] = *it;
    const bool is_current = current.count(revision) != 0;
    const auto steps = store_.read_receipt(sha_of_revision(revision));
    const auto outcome = steps ? judge_receipt(*steps, is_current).word : std::string("superseded");
    if (outcome != "progressing" && told.insert(outcome).second && count) {
      ++counts.outcomes[outcome];
      const auto seen = steps ? time_of(*steps, "seen") : std::nullopt;
      const auto ready = steps ? time_of(*steps, "ready") : std::nullopt;
      if (outcome == "ready" && seen && ready) {
        const std::chrono::duration<double> took = *ready - *seen;
        counts.seconds.observe(std::max(0.0, took.count()));
      }
    }
    it = is_current ? std::next(it) : counts.open.erase(it);
  }
}

void RevisionMeter::measure(std::vector<MetricFamily>& out) {
  auto ends = make_counter("moored_revisions_total", "Revisions by how they ended.");
  auto ready = make_histogram("moored_revision_ready_seconds",
                              "Time from a pushed revision being seen to all of it being ready.");
  counts_.with([&](Counts& counts) {
    const auto view = store_.view();
    find_new(counts, *view);
    follow(counts, *view, true);
    for (const auto outcome : kOutcomes) {
      ends.add({{"outcome", std::string(outcome)}},
               static_cast<double>(counts.outcomes[std::string(outcome)]));
    }
    ready.distributions.push_back(
        {{}, counts.seconds.bounds(), counts.seconds.counts(), counts.seconds.sum()});
  });
  out.push_back(std::move(ends));
  out.push_back(std::move(ready));
}

}  // namespace moored
