// The store: one writer, one transaction per story, many readers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reconciler/core/plan.hpp"
#include "reconciler/store/types.hpp"
#include "schema/ports/state_view.hpp"

namespace moored {

// What a commit brought: the newest version, and each change in the order of versions.
struct RecordResult {
  std::int64_t resource_version = 0;
  std::vector<Change> changes;
};

// A plan with the cause that goes into its audit row.
struct CausedPlan {
  Plan plan;
  Cause cause;
};

struct StoreOptions {
  std::string directory;            // holds moored.db, its log, its lock and seal.key; mode 0700
  std::string vfs;                  // an SQLite VFS; empty: the system's
  std::string store_id;             // for a new store; empty: by chance
  std::int64_t given_version = 0;   // known to have been given out: a store behind it skips it
  bool durable = true;              // false: no fsync, for simulations on a tmpfs
  bool checkpoint_on_close = true;  // false: close as a crash would
  std::chrono::milliseconds busy_wait{5'000};  // for another program that holds the file
  // Told once, on any thread, when a read or a write finds the database damaged: the next start
  // will set it aside. Must neither block nor use the store.
  std::function<void(const Error&)> on_damage;
};

// Owns the database and the newest state in memory. One writer's thread; everything const may be
// called on any thread.
class Store final : public StateSource, public RevisionSignal {
 public:
  // Collects plans and writes them in one transaction. Writer's thread only; at most one at a time.
  class Batch;

  // Errors: conflict (StoreLocked: another daemon holds it, with its pid; StoreNewer), corrupt
  // (StoreCorrupt, SealBroken), denied (KeyExposed), exhausted (StoreFull), unavailable (StoreIo).
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options);
  ~Store() override;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // ---- the writer's thread ----
  Batch begin(Now now);
  // One plan in a transaction of its own; writes nothing when nothing changes.
  // Errors: those of Batch.
  Result<RecordResult> record(const Plan& plan, const Cause& cause, Now now);
  // Several plans in one transaction, each with its audit row: all or none.
  Result<RecordResult> record_all(std::span<const CausedPlan> plans, Now now);
  // Forgets history; true: more is to be forgotten, call again.
  Result<bool> compact(const CompactOptions& options, Now now);

  // ---- any thread ----
  const std::string& store_id() const;
  std::shared_ptr<const StateView> view() const override;
  Result<std::vector<Change>> changes_since(const Kind* kind, std::int64_t after,
                                            std::size_t limit) const override;
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t resource_version) const override;
  int subscribe(Listener listener, void* context) override;
  void unsubscribe(int token) override;

  // Forgets what is kept so that the next reads are quicker.
  void drop_caches() const;

  // The steps of the commit whose id starts with these digits (at least four), by time.
  // Errors: not_found; conflict (Ambiguous: several commits start so); invalid (not digits).
  Result<std::vector<ReceiptEntry>> read_receipt(const std::string& sha) const;
  // Rows that speak of an object (Kind/namespace/name) or were caused by a revision
  // (branch@sha1:…); empty: all. Newest first.
  Result<std::vector<AuditEntry>> read_audit(const std::string& subject, std::size_t limit) const;
  // Open drift first, then the newest.
  Result<std::vector<DriftRecord>> read_drift(std::size_t limit) const;
  // How many differences are open, by kind (drift_kind()); from memory. None are 0.
  std::map<std::string, std::size_t> count_open_drift() const;
  // Every row of the chain, and each recorded revision against the digest in its row.
  // Errors: corrupt (AuditBroken) naming the first row that was edited, removed or reordered.
  Result<AuditVerdict> verify_audit() const;
  // The newest row of the chain. Writer's thread.
  AuditVerdict audit_end() const;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Store::Batch {
 public:
  Batch(Batch&&) noexcept;
  ~Batch();  // without commit() nothing happened

  // Takes a plan on top of those before it. A refused plan leaves the batch as it was.
  // Errors: invalid, conflict (a write aimed at an object that was replaced), internal.
  Status add(const Plan& plan, const Cause& cause);
  // The state with everything added so far, and what that changes, in the order of versions.
  const StateView& view() const;
  std::vector<Change> changes() const;
  // Writes, publishes the new state, wakes the listeners. Once.
  // Errors: exhausted (StoreFull), unavailable (StoreBusy, StoreIo), corrupt. Then nothing was
  // published, and after a failed disk the file is opened anew before the next commit.
  Result<RecordResult> commit();

 private:
  friend class Store;
  struct Pending;
  explicit Batch(std::unique_ptr<Pending> pending);
  std::unique_ptr<Pending> pending_;
};

// Checks the chain in a store's directory, also beside a running daemon, against audit.head and the
// ends that somebody noted elsewhere. Errors: as Store::verify_audit.
Result<AuditVerdict> verify_audit_offline(const std::string& directory,
                                          std::vector<AuditVerdict> noted = {});
// The newest row, unchecked: to be noted elsewhere.
Result<AuditVerdict> read_audit_head(const std::string& directory);
// Every row from a number on, the archived ones first, as a line of JSON each:
// {seq, version, prev, hash, json}. Errors: those of visit, and of reading.
Status export_audit(const std::string& directory, std::int64_t from,
                    const std::function<Status(std::string_view line)>& visit);

}  // namespace moored
