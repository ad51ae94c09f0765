#include "reconciler/store/store.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "reconciler/store/anchor.hpp"
#include "reconciler/store/archive.hpp"
#include "reconciler/store/compaction.hpp"
#include "reconciler/store/database.hpp"
#include "reconciler/store/recent.hpp"
#include "reconciler/store/records.hpp"
#include "reconciler/store/rescue.hpp"
#include "reconciler/store/revisions.hpp"
#include "reconciler/store/seal.hpp"
#include "reconciler/store/stage.hpp"
#include "reconciler/store/verify.hpp"
#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/base/random.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/model/flux.hpp"

namespace moored {

using namespace store;

namespace {

// Closed drift records that are remembered over a restart, beside all open ones.
constexpr std::size_t kRememberedDrift = 2'000;
// Versions that nobody may have noted before they were lost: no reader can hold one that is given
// again.
constexpr std::int64_t kVersionGap = 1'000'000;

// Writer and readers open the same file in the same way; only the mode differs.
DatabaseOptions database_options(const StoreOptions& options) {
  DatabaseOptions how;
  how.path = options.directory + "/moored.db";
  how.vfs = options.vfs;
  how.durable = options.durable;
  how.busy_wait = options.busy_wait;
  how.checkpoint_on_close = options.checkpoint_on_close;
  return how;
}

std::string archive_directory(const StoreOptions& options) {
  return options.directory + "/audit";
}

// Two daemons on one directory would each believe to be the writer.
Result<UniqueFd> take_lock(const std::string& directory) {
  const std::string path = directory + "/store.lock";
  auto lock = lock_file(path);
  if (!lock && lock.error().code == Code::conflict) {
    const auto holder = read_file(path, 64);
    return Unexpected(Error{
        Code::conflict,
        "another daemon has this store open (pid " + holder.value_or("unknown") + ")",
        "StoreLocked",
        {},
        {}}.mend("stop it, or give this one another --state-dir"));
  }
  if (lock) MOORED_CHECK(write_file(path, std::to_string(::getpid())));
  return lock;
}

// Tests give the id, so that the uids derived from it repeat.
std::string make_store_id(const StoreOptions& options) {
  SystemRandom random;
  return options.store_id.empty() ? make_uuid(random) : options.store_id;
}

// A store that is behind what was given out goes on well beyond it, and readers of what is missing
// are told to list anew.
Status skip_given_versions(Connection& writer, std::int64_t given) {
  MOORED_TRY(const auto recorded, read_meta_number(writer, "resource_version", 0));
  if (recorded >= given) return {};
  const std::string next = std::to_string(given + kVersionGap);
  return writer.transact([&]() -> Status {
    for (const char* name : {"resource_version", "compacted", "compacted_events"}) {
      MOORED_CHECK(write_meta(writer, name, next));
    }
    return {};
  });
}

// The id of a new store is written together with the digest that its key gives of it.
Result<std::string> settle_store_id(Connection& writer, const StoreOptions& options,
                                    const Sealer& sealer) {
  MOORED_TRY(const auto known, read_meta(writer, "store_id"));
  if (known.empty()) {
    const std::string fresh = make_store_id(options);
    const Status written = writer.transact([&]() -> Status {
      MOORED_CHECK(write_meta(writer, "store_id", fresh));
      return write_meta(writer, "key_digest", sealer.digest(fresh));
    });
    if (!written) return Unexpected(Error(written.error()));
    return fresh;
  }
  MOORED_TRY(const auto digest, read_meta(writer, "key_digest"));
  if (digest == sealer.digest(known)) return known;
  return Unexpected(
      Error{Code::corrupt, "the key file does not belong to this database", "SealBroken", {}, {}}
          .mend("put back seal.key from the same backup as moored.db"));
}

}  // namespace

// Everything that belongs together; the writer's part is only touched by the writer's thread.
struct Store::State {
  struct Listening {
    Listener listener;
    void* context;
  };

  explicit State(StoreOptions given, Sealer key, UniqueFd held)
      : options(std::move(given)),
        sealer(std::move(key)),
        lock(std::move(held)),
        readers(database_options(options)) {}

  Status load();
  Status reload_after_failure();
  void publish(const Snapshot& next);
  void drop_anchor(std::int64_t resource_version) const;
  void notice(const Error& error) const;
  // Reads with a connection of the pool: Result<T>(Connection&).
  template <class Body>
  auto read(Body&& body) const {
    auto out = readers.get(std::forward<Body>(body));
    if (!out) notice(out.error());
    return out;
  }

  StoreOptions options;
  Sealer sealer;
  UniqueFd lock;
  std::optional<Connection> writer;
  std::optional<AnchorFile> anchor;
  Ledger ledger;
  bool must_reopen = false;
  mutable std::atomic<bool> damaged{false};
  mutable ReaderPool readers;
  Guarded<std::shared_ptr<const Snapshot>> current;
  Guarded<PersistentMap<std::string, std::size_t>> open_drift;  // the ledger's, for readers
  Guarded<RecentChanges> recent;
  struct Listeners {
    int last_token = 0;
    std::map<int, Listening> by_token;
  };
  Guarded<Listeners> listeners;
};

// Opens the file and reads everything that exists.
Status Store::State::load() {
  writer.reset();
  MOORED_TRY(auto opened, open_writer(database_options(options)));
  MOORED_TRY(ledger.store_id, settle_store_id(opened, options, sealer));
  MOORED_CHECK(skip_given_versions(opened, options.given_version));
  MOORED_TRY(ledger.audit.seq, read_meta_number(opened, "audit_seq", 0));
  MOORED_TRY(auto hash, read_meta(opened, "audit_hash"));
  if (!hash.empty()) ledger.audit.hash = std::move(hash);
  MOORED_TRY(const auto open, count_open_drift_rows(opened));
  MOORED_TRY(const auto drift, read_drift_rows(opened, open + kRememberedDrift));
  ledger.drift = {};
  ledger.open_drift = {};
  for (const DriftRecord& record : drift)
    ledger.take(record);
  open_drift.with([&](auto& now) { now = ledger.open_drift; });
  MOORED_TRY(auto state, read_heads(opened, sealer));
  writer.emplace(std::move(opened));
  recent.with([&](RecentChanges& changes) { changes.reset(state.resource_version()); });
  publish(state);
  return {};
}

// After a failed write the file is not trusted: it is closed, opened anew and read again. What was
// acknowledged must be there; a commit that failed on its way may be.
Status Store::State::reload_after_failure() {
  const auto acknowledged = current.with([](auto& now) { return now->resource_version(); });
  readers.close_idle();
  MOORED_CHECK(load());
  const auto found = current.with([](auto& now) { return now->resource_version(); });
  if (found < acknowledged) {
    return Unexpected(Error{Code::corrupt,
                            "the store has lost acknowledged records: it ends at version " +
                                std::to_string(found) + " instead of " +
                                std::to_string(acknowledged),
                            "StoreCorrupt",
                            {},
                            {}});
  }
  must_reopen = false;
  return {};
}

// A commit that is durable stays one even if its anchor cannot be written.
void Store::State::drop_anchor(std::int64_t resource_version) const {
  const auto written = anchor->write({ledger.store_id, ledger.audit, resource_version});
  if (written) return;
  log(LogLevel::warning, "the end of the audit chain is not noted beside the database",
      {{"error", written.error().text()}});
}

// Once: the note for the next start, then whoever runs this store. Without the note a restart would
// check the pages again and, finding them well by chance, go on with a file that was not.
void Store::State::notice(const Error& error) const {
  if (error.reason != "StoreCorrupt" || damaged.exchange(true)) return;
  if (auto marked = mark_damaged(options.directory, error.text()); !marked) {
    log(LogLevel::error, "the damaged database cannot be marked",
        {{"error", marked.error().text()}});
  }
  if (options.on_damage) options.on_damage(error);
}

// First the snapshot, then the listeners: whoever is woken finds the version that woke it. Called
// by the writer's thread, so listeners must neither block nor write.
void Store::State::publish(const Snapshot& next) {
  auto shared = std::make_shared<const Snapshot>(next);
  current.with([&](auto& now) { now = std::move(shared); });
  listeners.with([&](Listeners& all) {
    for (const auto& entry : all.by_token) {
      entry.second.listener(entry.second.context, next.resource_version());
    }
  });
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

// The lock comes before key and database, so that of two daemons only one can make a new key.
Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  MOORED_CHECK(make_directories(options.directory, 0700));
  MOORED_TRY(auto lock, take_lock(options.directory));
  MOORED_TRY(auto sealer, Sealer::open(options.directory + "/seal.key", true));
  auto state = std::make_unique<State>(options, std::move(sealer), std::move(lock));
  if (auto loaded = state->load(); !loaded) {
    return Unexpected(std::move(loaded).error().context(options.directory + "/moored.db"));
  }
  MOORED_TRY(state->anchor, AnchorFile::open(options.directory));
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

// ---- writing ------------------------------------------------------------------------------------

struct Store::Batch::Pending {
  Store* owner;
  Stage stage;
};

Store::Batch::Batch(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}
Store::Batch::Batch(Batch&&) noexcept = default;
Store::Batch::~Batch() = default;

Status Store::Batch::add(const Plan& plan, const Cause& cause) {
  return pending_->stage.add(plan, cause);
}

const StateView& Store::Batch::view() const {
  return pending_->stage.state();
}

std::vector<Change> Store::Batch::changes() const {
  std::vector<Change> changes;
  for (const StagedRevision& row : pending_->stage.revisions()) changes.push_back(row.change);
  return changes;
}

// The database first, the memory second: nobody may see a version that a crash could take back. A
// full or busy disk leaves the file sound, so those two errors need no reopening.
Result<RecordResult> Store::Batch::commit() {
  State& state = *pending_->owner->state_;
  const Stage& stage = pending_->stage;
  RecordResult result;
  result.resource_version = stage.state().resource_version();
  if (stage.empty()) return result;
  if (state.must_reopen) {
    // The state that the plans were made on may no longer be the recorded one.
    if (auto reloaded = state.reload_after_failure(); !reloaded) {
      state.notice(reloaded.error());
      return Unexpected(std::move(reloaded).error());
    }
    return fail(Code::unavailable, "the store was opened anew; try again");
  }
  auto written =
      state.writer->transact([&] { return write_stage(*state.writer, stage, state.sealer); });
  if (!written) {
    const std::string& reason = written.error().reason;
    state.must_reopen = reason != "StoreFull" && reason != "StoreBusy";
    state.notice(written.error());
    return Unexpected(std::move(written).error());
  }
  state.ledger = stage.ledger();
  if (!stage.drift().empty()) {
    state.open_drift.with([&](auto& now) { now = state.ledger.open_drift; });
  }
  state.drop_anchor(result.resource_version);
  result.changes = changes();
  // Before the listeners hear of it: they ask at once.
  state.recent.with([&](RecentChanges& changes) {
    for (const StagedRevision& row : stage.revisions()) changes.add(row.change, row.json.size());
  });
  state.publish(stage.state());
  // Nobody who keeps up reads the files any more, so that damage to them has to be looked for.
  const auto& rows = stage.revisions();
  if (!rows.empty()) {
    const std::int64_t before = rows.front().change.resource_version - 1;
    static_cast<void>(state.read([&](Connection& connection) {
      return check_recorded(connection, before, rows.size());
    }));
  }
  return result;
}

// The snapshot is immutable and shared, so a batch costs no copy and can be dropped at any time.
Store::Batch Store::begin(Now now) {
  const auto base = state_->current.with([](auto& current) { return current; });
  return Batch(std::unique_ptr<Batch::Pending>(
      new Batch::Pending{this, Stage(*base, state_->ledger, state_->sealer, now)}));
}

// One plan, one transaction, and at most one row of the audit log.
Result<RecordResult> Store::record(const Plan& plan, const Cause& cause, Now now) {
  Batch batch = begin(now);
  MOORED_CHECK(batch.add(plan, cause));
  return batch.commit();
}

// Many plans share one sync of the disk; either all of them are recorded or none.
Result<RecordResult> Store::record_all(std::span<const CausedPlan> plans, Now now) {
  Batch batch = begin(now);
  for (const CausedPlan& one : plans)
    MOORED_CHECK(batch.add(one.plan, one.cause));
  return batch.commit();
}

// Bounded by max_rows, so that the writer is not held up for long; true asks for another round.
Result<bool> Store::compact(const CompactOptions& options, Now now) {
  bool more = false;
  if (state_->must_reopen) return fail(Code::unavailable, "the store waits to be opened anew");
  Connection& writer = *state_->writer;
  const Status done = writer.transact([&]() -> Status {
    MOORED_TRY(more, compact_log(writer, options, now));
    return {};
  });
  if (!done) return Unexpected(Error(done.error()));
  // What is forgotten is forgotten here as well.
  const auto newest =
      state_->current.with([](auto& state) { return state->resource_version(); });
  state_->recent.with([&](RecentChanges& changes) { changes.reset(newest); });
  MOORED_TRY(const bool more_audit, archive_audit(writer, archive_directory(state_->options),
                                                  now.wall - options.keep, options.max_rows));
  return more || more_audit;
}

// ---- reading ------------------------------------------------------------------------------------

const std::string& Store::store_id() const {
  return state_->ledger.store_id;
}

std::shared_ptr<const StateView> Store::view() const {
  return state_->current.with(
      [](auto& current) -> std::shared_ptr<const StateView> { return current; });
}

// Compacted versions are an error and not a gap: a watch must then list anew, which is what 410
// Gone means to a Kubernetes client.
Result<std::vector<Change>> Store::changes_since(const Kind* kind, std::int64_t after,
                                                 std::size_t limit) const {
  using Changes = Result<std::vector<Change>>;
  auto recent = state_->recent.with(
      [&](const RecentChanges& changes) { return changes.find_since(kind, after, limit); });
  if (recent) return *std::move(recent);
  return state_->read([&](Connection& connection) -> Changes {
    MOORED_CHECK(check_kept(connection, kind, after));
    return read_changes(connection, state_->sealer, kind, after, limit);
  });
}

void Store::drop_caches() const {
  state_->recent.with([](RecentChanges& changes) { changes.drop(); });
  state_->readers.close_idle();
}

// A version of the future gets the words of the API server, by which client-go knows the case.
Result<std::shared_ptr<const StateView>> Store::view_at(std::int64_t resource_version) const {
  using View = std::shared_ptr<const StateView>;
  View newest = view();
  if (resource_version == newest->resource_version()) return newest;
  if (resource_version > newest->resource_version()) {
    return fail(Code::timeout, "too large resource version: " + std::to_string(resource_version) +
                                   ", current: " + std::to_string(newest->resource_version()));
  }
  return state_->read([&](Connection& connection) -> Result<View> {
    MOORED_CHECK(check_kept(connection, &kind_of<Kustomization>(), resource_version));
    MOORED_TRY(auto state, read_heads_at(connection, state_->sealer, resource_version));
    return View(std::make_shared<const Snapshot>(std::move(state)));
  });
}

int Store::subscribe(Listener listener, void* context) {
  return state_->listeners.with([&](State::Listeners& all) {
    all.by_token[++all.last_token] = {listener, context};
    return all.last_token;
  });
}

void Store::unsubscribe(int token) {
  state_->listeners.with([&](State::Listeners& all) { all.by_token.erase(token); });
}

Result<AuditVerdict> Store::verify_audit() const {
  return state_->read([&](Connection& connection) {
    return verify_chain(connection, archive_directory(state_->options));
  });
}

AuditVerdict Store::audit_end() const {
  return {state_->ledger.audit.seq, state_->ledger.audit.hash};
}

Result<std::vector<DriftRecord>> Store::read_drift(std::size_t limit) const {
  return state_->read([&](Connection& connection) { return read_drift_rows(connection, limit); });
}

std::map<std::string, std::size_t> Store::count_open_drift() const {
  std::map<std::string, std::size_t> out;
  const auto counts = state_->open_drift.with([](const auto& now) { return now; });
  counts.visit_all([&](const std::string& kind, std::size_t count) {
    out[kind] = count;
    return true;
  });
  return out;
}

Result<std::vector<ReceiptEntry>> Store::read_receipt(const std::string& sha) const {
  return state_->read([&](Connection& connection) { return read_receipt_rows(connection, sha); });
}

Result<std::vector<AuditEntry>> Store::read_audit(const std::string& subject,
                                                  std::size_t limit) const {
  return state_->read(
      [&](Connection& connection) { return read_audit_rows(connection, subject, limit); });
}

}  // namespace moored
