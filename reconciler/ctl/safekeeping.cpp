#include "reconciler/ctl/safekeeping.hpp"

#include <charconv>

#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/page.hpp"
#include "reconciler/ctl/render.hpp"
#include "reconciler/store/backup.hpp"
#include "reconciler/store/store.hpp"

namespace moored::ctl {
namespace {

constexpr std::size_t kHashDigits = 64;

std::string head_text(const AuditVerdict& head) {
  return std::to_string(head.rows) + ":" + head.hash;
}

// What audit head prints, read back.
Result<AuditVerdict> parse_head(const std::string& text) {
  AuditVerdict head;
  const auto colon = text.find(':');
  const auto end = text.data() + std::min(colon, text.size());
  const auto number = std::from_chars(text.data(), end, head.rows);
  if (colon != std::string::npos) head.hash = text.substr(colon + 1);
  const bool good = number.ec == std::errc{} && number.ptr == end && head.rows > 0 &&
                    head.hash.size() == kHashDigits &&
                    head.hash.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (good) return head;
  return Unexpected(Error{Code::invalid, text + " is not a head", "BadHead", {}, {}}.mend(
      "write it as moorctl audit head printed it, SEQ:HASH"));
}

std::string store_of(const std::string& state_dir) { return state_dir + "/store"; }

Value to_value(const BackupReport& report, const std::string& file) {
  Value out = Value::make_map();
  out.put("file", Value::of_text(file));
  out.put("takenAt", Value::of_text(report.taken_at));
  out.put("storeId", Value::of_text(report.store_id));
  out.put("resourceVersion", Value::of_integer(report.resource_version));
  out.put("rows", Value::of_integer(report.audit.rows));
  out.put("head", Value::of_text(head_text(report.audit)));
  out.put("files", Value::of_integer(static_cast<std::int64_t>(report.files)));
  return out;
}

}  // namespace

Result<Value> verify_audit(const AuditVerifyCommand& command) {
  std::vector<AuditVerdict> noted;
  for (const auto& text : command.heads) {
    MOORED_TRY(auto head, parse_head(text));
    noted.push_back(std::move(head));
  }
  MOORED_TRY(const auto verdict, verify_audit_offline(store_of(command.state_dir), noted));
  Value out = Value::make_map();
  out.put("rows", Value::of_integer(verdict.rows));
  out.put("head", Value::of_text(head_text(verdict)));
  return out;
}

Result<Value> read_audit_head(const AuditHeadCommand& command) {
  MOORED_TRY(const auto head, moored::read_audit_head(store_of(command.state_dir)));
  Value out = Value::make_map();
  out.put("seq", Value::of_integer(head.rows));
  out.put("hash", Value::of_text(head.hash));
  out.put("head", Value::of_text(head_text(head)));
  return out;
}

Status export_audit(const AuditExportCommand& command,
                    const std::function<Status(std::string_view line)>& visit) {
  return moored::export_audit(store_of(command.state_dir), command.from, visit);
}

Result<Value> make_backup(const BackupCommand& command) {
  MOORED_TRY(const auto report, write_backup({command.state_dir, command.config}, command.file,
                                             SystemClock().now()));
  return to_value(report, command.file);
}

Result<Value> put_back(const RestoreCommand& command) {
  MOORED_TRY(const auto report, restore_backup(command.file, {command.state_dir, command.config},
                                               command.replace, SystemClock().now()));
  Value out = to_value(report, command.file);
  out.put("restored", Value::of_boolean(true));
  if (!report.set_aside.empty()) out.put("setAside", Value::of_text(report.set_aside));
  if (report.configuration_kept) out.put("configurationKept", Value::of_text(command.config));
  return out;
}

// Past the colours there is one fact, and the words to keep.
std::string render_audit(const Value& verdict, const Look& look) {
  Page page(look.colour);
  page.line({{"the chain holds: ", Tone::good}, {text_in(verdict, "rows") + " rows"}});
  page.line({{"head ", Tone::faint}, {text_in(verdict, "head"), Tone::strong}});
  return page.text();
}

std::string render_backup(const Value& report, const Look& look) {
  Page page(look.colour);
  const bool restored = truth_in(report, "restored");
  page.line({{restored ? "restored from " : "written: ", Tone::good},
             {text_in(report, "file"), Tone::strong}});
  page.line("taken " + text_in(report, "takenAt") + ", version " +
            text_in(report, "resourceVersion") + ", " + text_in(report, "rows") +
            " audit rows, " + text_in(report, "files") + " files beside the database");
  page.line({{"head ", Tone::faint}, {text_in(report, "head")}});
  if (!restored) page.line("keep it as you keep the Secrets: it opens them", Tone::warning);
  if (const auto aside = text_in(report, "setAside"); !aside.empty()) {
    page.line("what was there lies in " + aside);
  }
  if (const auto kept = text_in(report, "configurationKept"); !kept.empty()) {
    page.line(kept + " is there already and stays as it is", Tone::warning);
  }
  if (restored) page.line("images are not part of a backup: import them before the start");
  return page.text();
}

}  // namespace moored::ctl
