// The database file: how it is opened, upgraded and shared between one writer and many readers.
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reconciler/store/connection.hpp"

namespace moored::store {

// What this program writes; kept in the file's user_version.
inline constexpr std::int64_t kSchemaVersion = 1;
// Marks a file as a store of moored ("moor"); kept in its application_id.
inline constexpr std::int64_t kApplicationId = 0x6d6f6f72;

// Brings a database from one version to the next.
struct Migration {
  std::int64_t from = 0;
  std::string_view statements;
};
// The steps from every older version to kSchemaVersion, in order.
std::span<const Migration> all_migrations();
// schema.sql, as it was when this program was built.
std::string_view schema_sql();

// Makes an empty file a store of this version, or brings an older one there in one transaction.
// Errors: conflict (StoreNewer: written by a newer moored; ForeignDatabase: not a store at all).
Status upgrade(Connection& connection, std::int64_t version = kSchemaVersion,
               std::span<const Migration> steps = all_migrations());

// Reads every page of a file of at most 256 MiB. Errors: corrupt (StoreCorrupt).
Status check_pages(Connection& connection);

struct DatabaseOptions {
  std::string path;
  std::string vfs;
  bool durable = true;              // false: no fsync, for simulations on a tmpfs
  bool checkpoint_on_close = true;  // false: close as a crash would
  std::chrono::milliseconds busy_wait{5'000};
};
// Opens the file for the one writer: makes it with mode 0600, switches to WAL with
// synchronous=FULL, checks its pages and upgrades it.
Result<Connection> open_writer(const DatabaseOptions& options);
Result<Connection> open_reader(const DatabaseOptions& options);

// Read-only connections, each used by one thread at a time. Thread safe.
class ReaderPool {
 public:
  static constexpr std::size_t kMaxReaders = 8;
  static constexpr std::chrono::seconds kMaxWait{5};

  explicit ReaderPool(DatabaseOptions options) : options_(std::move(options)) {}
  // Runs body with a connection of its own, inside one read transaction.
  // Errors: unavailable (every connection was busy for kMaxWait), those of opening and of body.
  Status read(const std::function<Status(Connection&)>& body);
  // The same for a body that gives a value: Result<T>(Connection&).
  template <class Body>
  auto get(Body&& body) -> decltype(body(std::declval<Connection&>())) {
    decltype(body(std::declval<Connection&>())) out = fail(Code::internal, "nothing was read");
    const Status outcome = read([&](Connection& connection) -> Status {
      out = body(connection);
      return {};
    });
    if (!outcome) return Unexpected(Error(outcome.error()));
    return out;
  }
  // Closes idle connections, so that a damaged file can be set aside.
  void close_idle();

 private:
  Result<Connection> take();
  void give_back(Connection connection);

  DatabaseOptions options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<Connection> idle_;
  std::size_t taken_ = 0;
};

}  // namespace moored::store
