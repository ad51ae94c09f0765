#include "reconciler/store/compaction.hpp"

#include <algorithm>

#include "reconciler/store/revisions.hpp"
#include "schema/model/cluster.hpp"

namespace moored::store {
namespace {

std::int64_t micros(Time time) {
  return time.time_since_epoch().count();
}

// The newest version that is older than the window, by time and by size.
Result<std::int64_t> read_cutoff(Connection& connection, const CompactOptions& options, Now now) {
  MOORED_TRY(const auto by_time,
             connection.read_integer("SELECT max(rv) FROM revision WHERE time < ?",
                                     {micros(now.wall - options.keep)}));
  MOORED_TRY(const auto by_size,
             connection.read_integer(
                 "SELECT max(rv) FROM (SELECT rv, sum(length(json)) OVER (ORDER BY rv DESC) "
                 "AS total FROM revision) WHERE total > ?",
                 {options.max_bytes}));
  return std::max(by_time, by_size);
}

}  // namespace

Result<bool> compact_log(Connection& connection, const CompactOptions& options, Now now) {
  MOORED_TRY(const auto cutoff, read_cutoff(connection, options, now));
  const std::string events = gvk_text(kind_of<Event>());
  MOORED_TRY(const auto event_cutoff,
             connection.read_integer("SELECT max(rv) FROM revision WHERE gvk = ? AND time < ?",
                                     {std::string_view(events), micros(now.wall - kEventHistory)}));
  MOORED_TRY(const auto kept, read_meta_number(connection, "compacted", 0));
  MOORED_TRY(const auto events_kept, read_meta_number(connection, "compacted_events", 0));
  // Before rows go, it is said that they are no longer there.
  MOORED_CHECK(write_meta(connection, "compacted", std::to_string(std::max(cutoff, kept))));
  MOORED_CHECK(write_meta(connection, "compacted_events",
                          std::to_string(std::max({event_cutoff, cutoff, events_kept}))));
  const auto most = static_cast<std::int64_t>(options.max_rows);
  MOORED_CHECK(
      connection.query("DELETE FROM revision WHERE rv IN ("
                       "SELECT o.rv FROM revision o WHERE o.rv <= max(?1, ?2) "
                       "AND (o.rv <= ?1 OR o.gvk = ?3) AND (o.deleted = 1 OR EXISTS ("
                       "SELECT 1 FROM revision n WHERE n.gvk = o.gvk "
                       "AND n.namespace = o.namespace AND n.name = o.name AND n.rv > o.rv "
                       "AND n.rv <= CASE WHEN o.gvk = ?3 THEN max(?1, ?2) ELSE ?1 END)) "
                       "ORDER BY o.rv LIMIT ?4)",
                       {cutoff, event_cutoff, std::string_view(events), most}));
  MOORED_TRY(const auto gone, connection.read_integer("SELECT changes()"));
  return gone == most;
}

Status check_kept(Connection& connection, const Kind* kind, std::int64_t version) {
  const bool with_events = kind == nullptr || kind == &kind_of<Event>();
  MOORED_TRY(const auto kept,
             read_meta_number(connection, with_events ? "compacted_events" : "compacted", 0));
  if (version >= kept) return {};
  return Unexpected(Error{
      Code::exhausted,
      "too old resource version: " + std::to_string(version) + ", history is kept from " +
          std::to_string(kept) + " on",
      "Expired",
      {},
      {}}.mend("list again"));
}

}  // namespace moored::store
