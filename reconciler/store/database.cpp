#include "reconciler/store/database.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "schema/base/assert.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::store {
namespace {

// Above this size the pages are checked when they are read, not all at once at the start.
constexpr std::int64_t kMaxCheckedBytes = 256LL << 20U;

// The log of SQLite inherits the mode of the database, so the file is made before SQLite sees it.
Status make_private_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Unexpected(system_error(path, errno));
  return {};
}

// Takes the log into the database before anything of it is believed. After a failed sync the kernel
// may show pages that never reached the disk; writing them out once more, with a sync that must
// succeed, makes them true. A reader that holds the log up is no failure.
// Source: https://www.sqlite.org/wal.html; "PostgreSQL's fsync() surprise", lwn.net 2018.
Status settle_log(Connection& connection) {
  return connection.query("PRAGMA wal_checkpoint(TRUNCATE)");
}

Unexpected foreign() {
  return Unexpected(
      Error{Code::conflict, "the file is a database of another program", "ForeignDatabase", {}, {}}
          .mend("point --state-dir at a directory of moored's own"));
}

Unexpected newer(std::int64_t found, std::int64_t known) {
  return Unexpected(Error{
      Code::conflict,
      "the store was written by a newer moored (schema " + std::to_string(found) +
          ", this program knows up to " + std::to_string(known) + ")",
      "StoreNewer",
      {},
      {}}.mend("start the newer version again"));
}

Status set_versions(Connection& connection, std::int64_t version) {
  return connection.run("PRAGMA application_id=" + std::to_string(kApplicationId) +
                        "; PRAGMA user_version=" + std::to_string(version));
}

// The state is in memory and the file in the page cache: a third copy of it would be kept for good.
constexpr const char* kSmallCache = "PRAGMA cache_size=-512";  // KiB

}  // namespace

std::span<const Migration> all_migrations() {
  return {};
}

Status check_pages(Connection& connection) {
  MOORED_TRY(const auto pages, connection.read_integer("PRAGMA page_count"));
  MOORED_TRY(const auto page_bytes, connection.read_integer("PRAGMA page_size"));
  if (pages * page_bytes > kMaxCheckedBytes) return {};
  return connection.query("PRAGMA quick_check(1)", {}, [](const Row& row) -> Status {
    const std::string verdict = row.text(0);
    if (verdict == "ok") return {};
    return Unexpected(
        Error{Code::corrupt, "the store is damaged: " + verdict, "StoreCorrupt", {}, {}}.mend(
            "set the database aside; a new one is made and filled from Git"));
  });
}

Status upgrade(Connection& connection, std::int64_t version, std::span<const Migration> steps) {
  MOORED_TRY(const auto found, connection.read_integer("PRAGMA user_version"));
  MOORED_TRY(const auto owner, connection.read_integer("PRAGMA application_id"));
  MOORED_TRY(const auto tables, connection.read_integer("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0 && found == 0) {
    return connection.transact([&]() -> Status {
      MOORED_CHECK(connection.run(std::string(schema_sql())));
      return set_versions(connection, version);
    });
  }
  if (owner != kApplicationId) return foreign();
  if (found > version) return newer(found, version);
  if (found == version) return {};
  return connection.transact([&]() -> Status {
    for (const Migration& step : steps) {
      if (step.from >= found && step.from < version) {
        MOORED_CHECK(connection.run(std::string(step.statements)));
      }
    }
    return set_versions(connection, version);
  });
}

Result<Connection> open_writer(const DatabaseOptions& options) {
  if (options.vfs.empty()) MOORED_CHECK(make_private_file(options.path));
  Connection::Options how;
  how.path = options.path;
  how.vfs = options.vfs;
  how.busy_wait = options.busy_wait;
  how.writable = true;
  MOORED_TRY(auto connection, Connection::open(how));
  MOORED_CHECK(connection.query("PRAGMA journal_mode=WAL", {}, [](const Row& row) -> Status {
    if (row.text(0) == "wal") return {};
    return fail(Code::internal, "the file system does not carry SQLite's write-ahead log");
  }));
  MOORED_CHECK(
      connection.run(options.durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF"));
  MOORED_CHECK(connection.run("PRAGMA journal_size_limit=67108864"));
  MOORED_CHECK(connection.run(kSmallCache));
  if (!options.checkpoint_on_close) MOORED_CHECK(connection.skip_checkpoint_on_close());
  MOORED_CHECK(check_pages(connection));
  MOORED_CHECK(settle_log(connection));
  MOORED_CHECK(upgrade(connection));
  return connection;
}

Result<Connection> open_reader(const DatabaseOptions& options) {
  Connection::Options how;
  how.path = options.path;
  how.vfs = options.vfs;
  how.busy_wait = options.busy_wait;
  MOORED_TRY(auto connection, Connection::open(how));
  MOORED_CHECK(connection.run(kSmallCache));
  if (!options.checkpoint_on_close) MOORED_CHECK(connection.skip_checkpoint_on_close());
  return connection;
}

Status ReaderPool::read(const std::function<Status(Connection&)>& body) {
  auto taken = take();
  if (!taken) return Unexpected(std::move(taken).error());
  const Status outcome = taken->read_together([&] { return body(*taken); });
  give_back(*std::move(taken));
  return outcome;
}

Result<Connection> ReaderPool::take() {
  std::unique_lock lock(mutex_);
  const auto is_free = [&] { return !idle_.empty() || taken_ < kMaxReaders; };
  if (!returned_.wait_for(lock, kMaxWait, is_free)) {
    return fail(Code::unavailable, "all " + std::to_string(kMaxReaders) + " readers are busy");
  }
  ++taken_;
  if (!idle_.empty()) {
    Connection connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  lock.unlock();
  auto opened = open_reader(options_);
  if (!opened) {
    lock.lock();
    --taken_;
    returned_.notify_one();
  }
  return opened;
}

void ReaderPool::give_back(Connection connection) {
  const std::lock_guard lock(mutex_);
  --taken_;
  idle_.push_back(std::move(connection));
  returned_.notify_one();
}

void ReaderPool::close_idle() {
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

}  // namespace moored::store
