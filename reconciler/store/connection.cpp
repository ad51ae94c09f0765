#include "reconciler/store/connection.hpp"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <sqlite3.h>

#include <map>

#include "schema/base/assert.hpp"

namespace moored::store {
namespace {

// What an SQLite result code means to the person who reads it.
Unexpected store_error(int code, int extended, std::string_view text) {
  const std::string said(text);
  auto made = [&](Code kind, std::string message, std::string_view reason, std::string_view fix) {
    Error error{kind, std::move(message), {}, {}, {}};
    return Unexpected(std::move(error).because(reason).mend(fix));
  };
  switch (code) {
    case SQLITE_FULL:
      return made(Code::exhausted, "the store cannot grow: " + said, "StoreFull",
                  "make room on the file system of the state directory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return made(Code::unavailable, "the store is locked by another process: " + said, "StoreBusy",
                  "end the program that holds the database open");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return made(Code::corrupt, "the store is damaged: " + said, "StoreCorrupt",
                  "set the database aside; a new one is made and filled from Git");
    case SQLITE_IOERR:
      if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC) {
        return made(Code::unavailable, "the disk did not keep what was written: " + said,
                    "StoreSync", "check the disk of the state directory; the file is read anew");
      }
      return made(
          Code::unavailable,
          "the disk failed under the store: " + said + " (" + std::to_string(extended) + ")",
          "StoreIo", "check the disk of the state directory");
    case SQLITE_CANTOPEN:
      return made(Code::not_found, "the store cannot be opened: " + said, "StoreAbsent",
                  "check the path and its rights");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return made(Code::denied, "the store cannot be written: " + said, "StoreReadOnly",
                  "check owner and mode of the state directory");
    default:
      return made(Code::internal, "the store failed: " + said, "StoreFailed", "");
  }
}

// The extended code tells the kind of an I/O error; the decision is made on the primary one.
Unexpected store_error(const SQLite::Exception& exception) {
  return store_error(exception.getErrorCode(), exception.getExtendedErrorCode(), exception.what());
}

// True when anything but white space follows the first statement: SQLite would ignore it silently.
bool has_second_statement(std::string_view sql) {
  const auto end = sql.find(';');
  return end != std::string_view::npos &&
         sql.find_first_not_of(" \n\t;", end) != std::string_view::npos;
}

// Texts are copied by SQLiteCpp while statements keep their bindings; an empty Bind is NULL.
void bind_value(SQLite::Statement& statement, int index, const Bind& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    statement.bind(index, *number);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    statement.bind(index, std::string(*text));
  } else if (const auto* blob = std::get_if<Blob>(&value)) {
    statement.bind(index, blob->bytes.data(), static_cast<int>(blob->bytes.size()));
  } else {
    statement.bind(index);
  }
}

// Resets a statement however its use ends.
class ResetOnExit {
 public:
  explicit ResetOnExit(SQLite::Statement& statement) : statement_(statement) {}
  ~ResetOnExit() { statement_.tryReset(); }
  ResetOnExit(const ResetOnExit&) = delete;
  ResetOnExit& operator=(const ResetOnExit&) = delete;

 private:
  SQLite::Statement& statement_;
};

}  // namespace

struct Connection::State {
  explicit State(const Options& options)
      : database(
            options.path,
            options.writable ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE : SQLite::OPEN_READONLY,
            static_cast<int>(options.busy_wait.count()), options.vfs) {}

  // Prepared once; the map is bounded because statements are constants of this program.
  SQLite::Statement& prepare(std::string_view sql) {
    auto found = statements.find(sql);
    if (found == statements.end()) {
      MOORED_ASSERT(statements.size() < kMaxStatements && !has_second_statement(sql));
      found = statements.try_emplace(std::string(sql), database, std::string(sql)).first;
    }
    return found->second;
  }

  SQLite::Database database;
  std::map<std::string, SQLite::Statement, std::less<>> statements;  // dies before the database
};

std::int64_t Row::integer(int column) const {
  return static_cast<SQLite::Statement*>(statement_)->getColumn(column).getInt64();
}

std::string Row::text(int column) const {
  return static_cast<SQLite::Statement*>(statement_)->getColumn(column).getString();
}

bool Row::is_null(int column) const {
  return static_cast<SQLite::Statement*>(statement_)->isColumnNull(column);
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const Options& options) {
  try {
    auto state = std::make_unique<State>(options);
    return Connection(std::move(state));
  } catch (const SQLite::Exception& exception) {
    auto failed = store_error(exception);
    return Unexpected(Error(failed.take()).context(options.path));
  }
}

// For schema and pragmas: several statements at once and no values, hence never with foreign text.
Status Connection::run(const std::string& statements) {
  try {
    state_->database.exec(statements);
    return {};
  } catch (const SQLite::Exception& exception) {
    return store_error(exception);
  }
}

// Parameters are numbered from 1. The row function may end the query early with its own error, and
// the statement is reset in any case, as an open one would hold the read lock.
Status Connection::query(std::string_view statement, std::initializer_list<Bind> values,
                         const EachRow& each) {
  try {
    SQLite::Statement& prepared = state_->prepare(statement);
    const ResetOnExit reset(prepared);
    MOORED_ASSERT(prepared.getBindParameterCount() == static_cast<int>(values.size()));
    int index = 0;
    for (const Bind& value : values)
      bind_value(prepared, ++index, value);
    while (prepared.executeStep()) {
      if (each) MOORED_CHECK(each(Row(&prepared)));
    }
    return {};
  } catch (const SQLite::Exception& exception) {
    return store_error(exception);
  }
}

Result<std::int64_t> Connection::read_integer(std::string_view statement,
                                              std::initializer_list<Bind> values,
                                              std::int64_t fallback) {
  std::optional<std::int64_t> found;
  MOORED_CHECK(query(statement, values, [&](const Row& row) -> Status {
    if (!found && !row.is_null(0)) found = row.integer(0);
    return {};
  }));
  return found.value_or(fallback);
}

// IMMEDIATE takes the write lock at once: a transaction that begins as a reader and is refused the
// upgrade could only be thrown away. An error of the body rolls back by the destructor.
Status Connection::transact(const std::function<Status()>& body) {
  try {
    SQLite::Transaction transaction(state_->database, SQLite::TransactionBehavior::IMMEDIATE);
    MOORED_CHECK(body());
    transaction.commit();
    return {};
  } catch (const SQLite::Exception& exception) {
    return store_error(exception);
  }
}

// Several queries on one state of the file; in WAL mode the writer is not held up meanwhile.
Status Connection::read_together(const std::function<Status()>& body) {
  try {
    SQLite::Transaction transaction(state_->database, SQLite::TransactionBehavior::DEFERRED);
    return body();  // the transaction ends without a commit: nothing was written
  } catch (const SQLite::Exception& exception) {
    return store_error(exception);
  }
}

// All pages in one step, which is one read transaction: a writer cannot make it begin again.
Status Connection::copy_into(Connection& other) {
  try {
    SQLite::Backup copy(other.state_->database, state_->database);
    const int code = copy.executeStep(-1);
    if (code != SQLITE_DONE) return store_error(code, code, sqlite3_errstr(code));
    return {};
  } catch (const SQLite::Exception& exception) {
    return store_error(exception);
  }
}

Status Connection::skip_checkpoint_on_close() {
  const int code =
      sqlite3_db_config(state_->database.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (code != SQLITE_OK) return store_error(code, code, sqlite3_errstr(code));
  return {};
}

}  // namespace moored::store
