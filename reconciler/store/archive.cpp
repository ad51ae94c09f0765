#include "reconciler/store/archive.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "reconciler/store/revisions.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored::store {
namespace {

// An archive holds at most max_rows rows of bounded size.
constexpr std::size_t kMaxArchiveBytes = std::size_t{1} << 30U;

std::string file_name(std::int64_t first, std::int64_t last) {
  char text[64];
  std::snprintf(text, sizeof text, "%012lld-%012lld.jsonl", static_cast<long long>(first),
                static_cast<long long>(last));
  return text;
}

}  // namespace

std::string archive_line(const Row& row) {
  Value line = Value::make_map();
  line.put("seq", Value::of_integer(row.integer(0)));
  line.put("version", Value::of_integer(row.integer(1)));
  line.put("prev", Value::of_text(row.text(2)));
  line.put("hash", Value::of_text(row.text(4)));
  line.put("json", Value::of_text(row.text(3)));
  return write_json(line) + "\n";
}

namespace {

std::int64_t number_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  std::int64_t number = 0;
  if (value != nullptr) {
    const std::string& text = value->scalar;
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

std::string text_in(const Value& map, std::string_view name) {
  const Value* value = map.find(name);
  return value == nullptr ? std::string() : value->scalar;
}

// Rows that a crash has left in two files are met twice and passed over.
Status check_line(std::string_view line, const AuditEnd& last, AuditEnd& end) {
  const auto row = read_json(line);
  if (!row || !row->is_map()) return audit_broken(end.seq + 1, "cannot be read in the archive");
  const std::int64_t seq = number_in(*row, "seq");
  if (seq <= end.seq || seq > last.seq) return {};
  return check_link(seq, number_in(*row, "version"), text_in(*row, "prev"), text_in(*row, "json"),
                    text_in(*row, "hash"), end);
}

// Every line of every file, oldest first.
Status visit_lines(const std::string& directory,
                   const std::function<Status(std::string_view line)>& visit) {
  MOORED_TRY(const auto names, list_directory(directory));
  for (const std::string& name : names) {
    MOORED_TRY(const auto text, read_file(directory + "/" + name, kMaxArchiveBytes));
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t line_end = std::min(text.find('\n', begin), text.size());
      MOORED_CHECK(visit(std::string_view(text).substr(begin, line_end - begin)));
      begin = line_end + 1;
    }
  }
  return {};
}

// The last of the rows that may go: they are from before the time, and not the newest.
Result<std::int64_t> read_last_old(Connection& connection, const std::string& time,
                                   std::int64_t newest) {
  MOORED_TRY(const auto first_young,
             connection.read_integer("SELECT seq FROM audit WHERE "
                                     "json_extract(canonical_json, '$.time') >= ? "
                                     "ORDER BY seq LIMIT 1",
                                     {std::string_view(time)}, newest));
  return std::min(first_young, newest) - 1;
}

Status forget_rows(Connection& connection, const AuditEnd& last) {
  return connection.transact([&]() -> Status {
    MOORED_CHECK(connection.query("DELETE FROM audit WHERE seq <= ?", {last.seq}));
    MOORED_CHECK(connection.query("DELETE FROM audit_subject WHERE seq <= ?", {last.seq}));
    MOORED_CHECK(write_meta(connection, "archived_seq", std::to_string(last.seq)));
    return write_meta(connection, "archived_hash", last.hash);
  });
}

}  // namespace

Result<bool> archive_audit(Connection& connection, const std::string& directory, Time before,
                           std::size_t max_rows) {
  MOORED_TRY(const auto newest, read_meta_number(connection, "audit_seq", 0));
  MOORED_TRY(const auto last_old, read_last_old(connection, format_micro_time(before), newest));
  std::string text;
  std::int64_t first = 0;
  AuditEnd last;
  MOORED_CHECK(connection.query(
      "SELECT seq, hash_version, prev_hash, canonical_json, hash FROM audit WHERE seq <= ? "
      "ORDER BY seq LIMIT ?",
      {last_old, static_cast<std::int64_t>(max_rows)}, [&](const Row& row) -> Status {
        text += archive_line(row);
        last = {row.integer(0), row.text(4)};
        if (first == 0) first = last.seq;
        return {};
      }));
  if (text.empty()) return false;
  MOORED_CHECK(make_directories(directory, 0700));
  MOORED_CHECK(write_file_durably(directory + "/" + file_name(first, last.seq), text, 0600));
  MOORED_CHECK(forget_rows(connection, last));
  return last.seq < last_old;
}

Result<AuditEnd> read_archived(Connection& connection) {
  AuditEnd end;
  MOORED_TRY(end.seq, read_meta_number(connection, "archived_seq", 0));
  MOORED_TRY(auto hash, read_meta(connection, "archived_hash"));
  if (end.seq != 0) end.hash = std::move(hash);
  return end;
}

Result<AuditEnd> verify_archive(const std::string& directory, const AuditEnd& last,
                                const RowSeen& seen) {
  AuditEnd end;
  if (last.seq == 0) return end;
  const auto check = [&](std::string_view line) -> Status {
    const std::int64_t before = end.seq;
    MOORED_CHECK(check_line(line, last, end));
    return end.seq == before ? Status() : seen(end);
  };
  MOORED_CHECK(visit_lines(directory, check));
  if (end.seq != last.seq) return audit_broken(end.seq + 1, "is missing in the archive");
  if (end.hash != last.hash) return audit_broken(end.seq, "is not the one that was archived");
  return end;
}

Status visit_archive(const std::string& directory, const AuditEnd& last,
                     const std::function<Status(std::string_view line)>& visit) {
  if (last.seq == 0) return {};
  std::int64_t newest = 0;
  return visit_lines(directory, [&](std::string_view line) -> Status {
    const auto row = read_json(line);
    if (!row || !row->is_map()) return audit_broken(newest + 1, "cannot be read in the archive");
    const std::int64_t seq = number_in(*row, "seq");
    if (seq <= newest || seq > last.seq) return {};
    newest = seq;
    return visit(line);
  });
}

Status check_link(std::int64_t seq, std::int64_t version, const std::string& prev_hash,
                  const std::string& json, const std::string& hash, AuditEnd& end) {
  if (seq != end.seq + 1) return audit_broken(end.seq + 1, "is missing");
  if (version != kAuditHashVersion) return audit_broken(seq, "follows an unknown rule");
  if (prev_hash != end.hash) return audit_broken(seq, "does not follow the row before it");
  if (audit_hash(prev_hash, seq, json) != hash) return audit_broken(seq, "was edited");
  end = {seq, hash};
  return {};
}

Unexpected audit_broken(std::int64_t seq, const std::string& what) {
  return Unexpected(
      Error{Code::corrupt, "audit row " + std::to_string(seq) + " " + what, "AuditBroken", {}, {}}
          .mend("compare with a backup or an export made before"));
}

}  // namespace moored::store
