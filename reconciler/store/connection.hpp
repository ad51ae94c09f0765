// One SQLite connection in our own types. The only part of moored that sees SQLiteCpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "schema/base/result.hpp"

namespace moored::store {

// A value for one parameter: NULL, an integer, text, or bytes.
struct Blob {
  std::string_view bytes;
};
using Bind = std::variant<std::monostate, std::int64_t, std::string_view, Blob>;

// The current row of a statement. Valid only inside the call it is given to.
class Row {
 public:
  explicit Row(void* statement) : statement_(statement) {}
  std::int64_t integer(int column) const;
  std::string text(int column) const;  // text or bytes
  bool is_null(int column) const;

 private:
  void* statement_;
};
using EachRow = std::function<Status(const Row&)>;

// Not thread safe: one thread at a time. Statements are prepared once and always reset, so that no
// forgotten reader keeps the log from being taken into the database.
class Connection {
 public:
  static constexpr std::size_t kMaxStatements = 64;

  struct Options {
    std::string path;
    bool writable = false;  // may write; creates the file
    std::string vfs;        // name of an SQLite VFS; empty: the system's
    std::chrono::milliseconds busy_wait{5'000};
  };
  // Errors: those of every call here. corrupt (StoreCorrupt: not a database or damaged),
  // exhausted (StoreFull: no space), unavailable (StoreBusy: locked by another process;
  // StoreIo: the disk failed; StoreSync: a sync failed), not_found, denied, internal.
  static Result<Connection> open(const Options& options);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // Runs any number of statements that take no parameters.
  Status run(const std::string& statements);
  // Runs exactly one statement with exactly as many values as it has parameters; each may be empty.
  // Stops at the first error of each.
  Status query(std::string_view statement, std::initializer_list<Bind> values = {},
               const EachRow& each = {});
  // The integer of the first column of the first row; fallback without a row or for NULL.
  Result<std::int64_t> read_integer(std::string_view statement,
                                    std::initializer_list<Bind> values = {},
                                    std::int64_t fallback = 0);

  // Runs body inside BEGIN IMMEDIATE … COMMIT; any error rolls everything back.
  // (A deferred transaction that reads and then writes fails as busy at once, whatever the wait.)
  Status transact(const std::function<Status()>& body);
  // Runs body inside one read transaction, so that all its queries see the same state.
  Status read_together(const std::function<Status()>& body);
  // Makes the other one a copy of this one as it is at one moment, whoever writes meanwhile.
  Status copy_into(Connection& other);
  // Leaves the log as it is when the connection closes, as a crash would.
  Status skip_checkpoint_on_close();

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::store
