#include "reconciler/store/records.hpp"

#include <set>

namespace moored::store {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

Status check_sha(const std::string& sha) {
  if (sha.size() >= kMinShaDigits && sha.size() <= 40 &&
      sha.find_first_not_of(kHex) == std::string::npos) {
    return {};
  }
  return fail(Code::invalid, "a commit is named by 4 to 40 hexadecimal digits");
}

}  // namespace

Result<std::vector<ReceiptEntry>> read_receipt_rows(Connection& connection,
                                                    const std::string& sha) {
  MOORED_CHECK(check_sha(sha));
  std::vector<ReceiptEntry> out;
  std::set<std::string> found;
  // 'g' comes after every hexadecimal digit: the range holds exactly the ids with this prefix.
  const std::string end = sha + "g";
  MOORED_CHECK(connection.query(
      "SELECT sha, revision, step, time, detail FROM receipt WHERE sha >= ? AND sha < ? "
      "ORDER BY time, step",
      {std::string_view(sha), std::string_view(end)}, [&](const Row& row) -> Status {
        out.push_back(
            {row.text(0), row.text(1), row.text(2), Time(Duration(row.integer(3))), row.text(4)});
        found.insert(row.text(0));
        return {};
      }));
  if (found.empty()) return fail(Code::not_found, "no commit starts with " + sha);
  if (found.size() > 1) {
    return Unexpected(
        Error{Code::conflict, "several commits start with " + sha, "Ambiguous", {}, {}}.mend(
            "give more digits"));
  }
  return out;
}

Result<std::vector<AuditEntry>> read_audit_rows(Connection& connection, const std::string& subject,
                                                std::size_t limit) {
  std::vector<AuditEntry> out;
  const auto each = [&](const Row& row) -> Status {
    out.push_back({row.integer(0), row.text(1)});
    return {};
  };
  const auto most = static_cast<std::int64_t>(limit);
  if (subject.empty()) {
    MOORED_CHECK(connection.query("SELECT seq, canonical_json FROM audit ORDER BY seq DESC LIMIT ?",
                                  {most}, each));
  } else {
    MOORED_CHECK(connection.query(
        "SELECT a.seq, a.canonical_json FROM audit_subject o JOIN audit a ON a.seq = o.seq "
        "WHERE o.subject = ? ORDER BY o.seq DESC LIMIT ?",
        {std::string_view(subject), most}, each));
  }
  return out;
}

}  // namespace moored::store
