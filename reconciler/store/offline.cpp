// The audit chain read without a daemon: by moorctl, beside one or without one.
#include "reconciler/store/anchor.hpp"
#include "reconciler/store/archive.hpp"
#include "reconciler/store/database.hpp"
#include "reconciler/store/revisions.hpp"
#include "reconciler/store/store.hpp"
#include "reconciler/store/verify.hpp"

namespace moored {

using namespace store;

namespace {

// Takes no lock and no key, since the chain is verified beside a running daemon and by others than
// its owner. The application id keeps it from judging some other SQLite file.
Result<Connection> open_offline(const std::string& directory) {
  DatabaseOptions options;
  options.path = directory + "/moored.db";
  MOORED_TRY(auto connection, open_reader(options));
  MOORED_TRY(const auto owner, connection.read_integer("PRAGMA application_id"));
  if (owner != kApplicationId) return fail(Code::conflict, directory + " holds no store");
  return connection;
}

// One body over one state of the file, whatever a daemon writes meanwhile.
template <class Body>
auto read_offline(const std::string& directory, Body&& body)
    -> decltype(body(std::declval<Connection&>())) {
  decltype(body(std::declval<Connection&>())) out = fail(Code::internal, "nothing was read");
  MOORED_TRY(auto connection, open_offline(directory));
  const Status read = connection.read_together([&]() -> Status {
    out = body(connection);
    return {};
  });
  if (!read) return Unexpected(Error(read.error()));
  return out;
}

}  // namespace

// The anchor is read first: rows that a daemon writes meanwhile come behind it.
Result<AuditVerdict> verify_audit_offline(const std::string& directory,
                                          std::vector<AuditVerdict> noted) {
  if (const auto anchor = read_anchor(directory); anchor && anchor->audit.seq > 0) {
    noted.push_back({anchor->audit.seq, anchor->audit.hash});
  }
  return read_offline(directory, [&](Connection& connection) {
    return verify_chain(connection, directory + "/audit", noted);
  });
}

Result<AuditVerdict> read_audit_head(const std::string& directory) {
  return read_offline(directory, [](Connection& connection) -> Result<AuditVerdict> {
    AuditVerdict head;
    MOORED_TRY(head.rows, read_meta_number(connection, "audit_seq", 0));
    MOORED_TRY(head.hash, read_meta(connection, "audit_hash"));
    return head;
  });
}

Status export_audit(const std::string& directory, std::int64_t from,
                    const std::function<Status(std::string_view line)>& visit) {
  MOORED_TRY(auto connection, open_offline(directory));
  return connection.read_together([&]() -> Status {
    MOORED_TRY(const auto archived, read_archived(connection));
    std::int64_t seq = 0;  // the archive begins with the first row and has no gaps
    MOORED_CHECK(visit_archive(directory + "/audit", archived, [&](std::string_view line) {
      return ++seq < from ? Status() : visit(line);
    }));
    return connection.query(
        "SELECT seq, hash_version, prev_hash, canonical_json, hash FROM audit WHERE seq >= ? "
        "AND seq > ? ORDER BY seq",
        {from, archived.seq}, [&](const Row& row) {
          const std::string line = archive_line(row);
          return visit(std::string_view(line).substr(0, line.size() - 1));
        });
  });
}

}  // namespace moored
