// Pages made from the JSON answers of the daemon.
#include "reconciler/ctl/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/page.hpp"

namespace moored::ctl {
namespace {

using Rows = std::vector<std::vector<Cell>>;

// "hh:mm:ss" of today and "MM-DD hh:mm" of other days, from RFC 3339.
std::string short_time(const std::string& text, Time now) {
  const auto time = parse_time(text);
  if (!time) return text;
  const std::string today = format_time(now).substr(0, 10);
  const std::string whole = format_time(*time);
  if (whole.substr(0, 10) == today) return whole.substr(11, 8);
  return whole.substr(5, 5) + ' ' + whole.substr(11, 5);
}

// Nothing for a text that is no time.
std::string age_of(const std::string& text, Time now) {
  const auto time = parse_time(text);
  return time ? format_age(now - *time) + " ago" : std::string();
}

// "1 file", "2 files".
std::string counted(std::int64_t count, const char* what) {
  return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

// A word that may be absent, after another.
std::string spaced(const std::string& word) { return word.empty() ? "" : ' ' + word; }

// The lines of a message; a refused commit has one for each mistake.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void put_lines(const std::string& text, const std::string& indent, Page& page) {
  for (const std::string& line : lines_of(text)) page.line(indent + line);
}

// The first line stands in a table for all of them.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Suspended wins over ready: a unit at rest says nothing about now. The reasons of progress are
// those that Flux gives, and no failure.
Cell state_cell(const Value& row) {
  if (truth_in(row, "suspended")) return {"Suspended", Tone::warning};
  if (truth_in(row, "ready")) return {"Ready", Tone::good};
  const std::string reason = text_in(row, "reason");
  const bool waits = reason.empty() || reason == "Progressing" || reason == "ProgressingWithRetry";
  return {reason.empty() ? "Waiting" : reason, waits ? Tone::warning : Tone::bad};
}

// The same five columns as a unit, so that both align.
std::vector<Cell> source_row(const Value& source, Time now) {
  const std::string fetched = age_of(text_in(source, "fetched"), now);
  const std::string where = text_in(source, "url");
  return {{"source", Tone::faint},
          {text_in(source, "name"), Tone::strong},
          {short_revision(text_in(source, "revision"))},
          state_cell(source),
          {fetched.empty() ? where : where + ", fetched " + fetched, Tone::faint}};
}

// A revision that was tried and not applied is named beside the one that runs.
std::vector<Cell> unit_row(const Value& unit) {
  std::string note =
      text_in(unit, "path") + ", " + counted(number_in(unit, "objects"), "object");
  const std::string tried = text_in(unit, "attempted");
  if (!tried.empty() && tried != text_in(unit, "revision")) {
    note += ", tried " + short_revision(tried);
  }
  return {{"unit", Tone::faint},
          {text_in(unit, "name"), Tone::strong},
          {short_revision(text_in(unit, "revision"))},
          state_cell(unit),
          {note, Tone::faint}};
}

// The sentence of every source or unit that is not well.
void put_reasons(const Value& status, Page& page) {
  for (const char* list : {"sources", "units"}) {
    for (const auto& row : items_in(status, list)) {
      const std::string message = text_in(row, "message");
      if (truth_in(row, "ready") || message.empty()) continue;
      page.blank();
      const bool several = message.find('\n') != std::string::npos;
      page.line({{text_in(row, "name"), Tone::strong}, {":"}, {several ? "" : ' ' + message}});
      if (several) put_lines(message, "  ", page);
    }
  }
}

// The daemon sends the worst first and cuts the list; the count is of all.
void put_not_ready(const Value& status, Page& page) {
  const auto& unwell = items_in(status, "notReady");
  if (unwell.empty()) return;
  const std::int64_t all = std::max(number_in(status, "notReadyCount"),
                                    static_cast<std::int64_t>(unwell.size()));
  page.blank();
  page.line("not ready (" + std::to_string(all) + ")", Tone::strong);
  Rows rows;
  for (const auto& row : unwell) {
    const bool failed = text_in(row, "state") == "failed";
    rows.push_back({{text_in(row, "object")},
                    {text_in(row, "reason"), failed ? Tone::bad : Tone::warning},
                    {first_line(text_in(row, "message")), Tone::faint}});
  }
  page.rows(rows, 2);
  const auto shown = static_cast<std::int64_t>(unwell.size());
  if (all > shown) page.line("  and " + std::to_string(all - shown) + " more", Tone::faint);
}

// Where a change came from: the file and line of the commit.
std::string place_of(const Value& change) {
  const std::string file = text_in(change, "file");
  const std::int64_t line = number_in(change, "line");
  if (file.empty()) return {};
  return line > 0 ? file + ':' + std::to_string(line) : file;
}

// An empty text is a field that is not there.
std::string or_absent(const std::string& text) { return text.empty() ? "(absent)" : text; }

// Before and after on one line; values are cut by the page, not here.
void put_fields(const Value& change, Page& page) {
  for (const auto& field : items_in(change, "changes")) {
    page.line({{"      "},
               {text_in(field, "path"), Tone::faint},
               {": "},
               {or_absent(text_in(field, "before")), Tone::bad},
               {" → "},
               {or_absent(text_in(field, "after")), Tone::good}});
  }
  const std::int64_t left_out = number_in(change, "fieldsLeftOut");
  if (left_out > 0) {
    page.line("      and " + std::to_string(left_out) + " more fields", Tone::faint);
  }
}

// "a.yaml:3:5: spec.x: sentence (fix)" from an error as a map.
std::string sentence_of(const Value& error) {
  Error whole;
  whole.message = text_in(error, "message");
  whole.place = {text_in(error, "file"), static_cast<int>(number_in(error, "line")),
                 static_cast<int>(number_in(error, "column")), text_in(error, "field")};
  whole.fix = text_in(error, "fix");
  return whole.text();
}

// Errors first: they decide, warnings inform.
void put_problems(const Value& plan, Page& page) {
  for (const auto& error : items_in(plan, "errors")) {
    page.line({{"error    ", Tone::bad},
               {text_in(error, "reason"), Tone::strong},
               {" "},
               {sentence_of(error)}});
  }
  for (const auto& warning : items_in(plan, "warnings")) {
    page.line({{"warning  ", Tone::warning}, {sentence_of(warning)}});
  }
}

}  // namespace

// What is good is one faint line; what is not comes with its remedy on a line of its own.
std::string render_findings(const Value& findings, const Look& look) {
  Page page(look.colour);
  Rows rows;
  for (const auto& check : items_in(findings, "checks")) {
    const auto verdict = text_in(check, "verdict");
    const Tone tone = verdict == "good"      ? Tone::good
                      : verdict == "warning" ? Tone::warning
                                             : Tone::bad;
    const auto word = verdict == "good" ? "ok" : verdict == "warning" ? "warning" : "FAILED";
    rows.push_back({{word, tone}, {text_in(check, "check")}, {text_in(check, "found")}});
    const auto mend = text_in(check, "mend");
    if (!mend.empty()) rows.push_back({{""}, {""}, {"-> " + mend, Tone::strong}});
  }
  page.rows(rows);
  page.blank();
  page.line(counted(number_in(findings, "failures"), "failure") + ", " +
            counted(number_in(findings, "warnings"), "warning"));
  return page.text();
}


// As kubectl prints ages: two units while minutes are few, days only after two of them. Clocks may
// step back, which is shown as zero.
std::string format_age(Duration age) {
  const auto seconds = std::max<std::int64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(age).count(), 0);
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  if (seconds < 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

// Binary units, as the quantities of manifests and the limits of cgroups count.
std::string format_size(std::int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

// One line for each source and unit, the reasons below, and the good news last.
std::string render_status(const Value& status, const Look& look) {
  Page page(look.colour);
  Rows rows;
  for (const auto& source : items_in(status, "sources")) {
    rows.push_back(source_row(source, look.now));
  }
  for (const auto& unit : items_in(status, "units")) rows.push_back(unit_row(unit));
  if (rows.empty()) {
    page.line("no source is declared yet");
    return page.text();
  }
  page.rows(rows);
  if (const Value* recovering = status.find("recovering")) {
    page.blank();
    page.line({{"after a loss of the store, " + text_in(*recovering, "reason") + ": ",
                Tone::warning},
               {text_in(*recovering, "message")}});
  }
  put_reasons(status, page);
  put_not_ready(status, page);
  if (truth_in(status, "ready")) {
    page.blank();
    const auto& sources = items_in(status, "sources");
    const bool read = std::all_of(sources.begin(), sources.end(), [](const Value& source) {
      return truth_in(source, "ready") || truth_in(source, "suspended");
    });
    page.line({{read ? "everything is ready at " : "not every source can be read; ready at ",
                read ? Tone::good : Tone::warning},
               {short_revision(text_in(status, "revision")), Tone::strong}});
  }
  return page.text();
}

// The time between two steps is what people look for in a receipt.
std::string render_trace(const Value& receipt, const Look& look) {
  Page page(look.colour);
  const Value* commit = receipt.find("commit");
  const std::string outcome = text_in(receipt, "outcome");
  const Tone tone = outcome == "ready" ? Tone::good
                    : outcome == "progressing" || outcome == "superseded" ? Tone::warning
                                                                          : Tone::bad;
  page.line({{"revision  ", Tone::faint}, {text_in(receipt, "revision"), Tone::strong}});
  if (commit != nullptr && !text_in(*commit, "subject").empty()) {
    page.line({{"commit    ", Tone::faint},
               {text_in(*commit, "subject")},
               {", by " + text_in(*commit, "author"), Tone::faint}});
  }
  page.line({{"outcome   ", Tone::faint}, {outcome, tone}, {spaced(text_in(receipt, "reason"))}});
  put_lines(text_in(receipt, "message"), "          ", page);
  Rows rows;
  std::optional<Time> before;
  for (const auto& step : items_in(receipt, "steps")) {
    const auto time = parse_time(text_in(step, "time"));
    std::string gap;
    if (time && before) {
      gap = fmt::format("+{:.3f} s", static_cast<double>((*time - *before).count()) / 1e6);
    }
    if (time) before = time;
    rows.push_back({{text_in(step, "name")},
                    {short_time(text_in(step, "time"), look.now), Tone::faint},
                    {gap},
                    {first_line(text_in(step, "detail")), Tone::faint}});
  }
  if (!rows.empty()) page.line("steps", Tone::faint);
  page.rows(rows, 2);
  Rows objects;
  for (const auto& object : items_in(receipt, "objects")) {
    objects.push_back({{text_in(object, "verb")}, {text_in(object, "object")}});
  }
  if (!objects.empty()) page.line("objects", Tone::faint);
  page.rows(objects, 2);
  return page.text();
}

// In the order of the answer; the daemon has sorted and cut it.
std::string render_history(const Value& history, const Look& look) {
  Page page(look.colour);
  for (const auto& item : items_in(history, "items")) {
    const std::string why = text_in(item, "why");
    const std::string outcome = text_in(item, "outcome");
    page.line({{short_time(text_in(item, "time"), look.now) + "  ", Tone::faint},
               {text_in(item, "verb") + ' ', Tone::strong},
               {text_in(item, "object")},
               {why.empty() ? "" : ": " + why},
               {outcome.empty() ? "" : ", " + outcome},
               {"  by " + text_in(item, "actor") + ' ' + text_in(item, "name") + ' ' +
                    short_revision(text_in(item, "cause")),
                Tone::faint}});
    put_fields(item, page);
  }
  if (items_in(history, "items").empty()) page.line("nothing is recorded");
  return page.text();
}

// Three lines: what, wanted against found, and what became of it.
std::string render_drift(const Value& drift, const Look& look) {
  Page page(look.colour);
  for (const auto& item : items_in(drift, "items")) {
    const bool open = truth_in(item, "open") || text_in(item, "correction").empty();
    page.line({{short_time(text_in(item, "onset"), look.now) + "  ", Tone::faint},
               {text_in(item, "object"), Tone::strong},
               {" " + text_in(item, "field")}});
    page.line({{"      "},
               {or_absent(text_in(item, "desired")), Tone::good},
               {" wanted, "},
               {or_absent(text_in(item, "observed")), Tone::bad},
               {" found"},
               {text_in(item, "actor").empty() ? "" : ", by " + text_in(item, "actor")}});
    const std::string after = text_in(item, "duration");
    page.line({{"      "},
               {open ? "open" : text_in(item, "correction"), open ? Tone::warning : Tone::plain},
               {after.empty() ? "" : " after " + after, Tone::faint}});
  }
  if (items_in(drift, "items").empty()) page.line("nothing was found that Git does not say");
  return page.text();
}

// A commit with errors is refused as a whole, so its changes are not listed at all.
std::string render_plan(const Value& plan, const Look& look) {
  Page page(look.colour);
  page.line({{text_in(plan, "unit"), Tone::strong},
             {" at "},
             {short_revision(text_in(plan, "revision")), Tone::strong}});
  put_problems(plan, page);
  if (!items_in(plan, "errors").empty()) {
    page.line("the commit would be refused, nothing would change", Tone::bad);
    return page.text();
  }
  for (const auto& change : items_in(plan, "changes")) {
    const std::string verb = text_in(change, "verb");
    const Tone tone = verb == "create" ? Tone::good : verb == "delete" ? Tone::bad : Tone::warning;
    const std::string place = place_of(change);
    page.line({{"  " + verb + ' ', tone},
               {text_in(change, "object")},
               {place.empty() ? "" : "  " + place, Tone::faint}});
    put_fields(change, page);
  }
  const Value* summary = plan.find("summary");
  if (items_in(plan, "changes").empty()) {
    page.line("no change", Tone::good);
  } else if (summary != nullptr) {
    page.line(fmt::format("{} to create, {} to update, {} to delete, {} unchanged",
                          number_in(*summary, "create"), number_in(*summary, "update"),
                          number_in(*summary, "delete"), number_in(*summary, "unchanged")));
  }
  if (truth_in(plan, "held")) {
    page.line("the deletions would be held: allow them with moorctl confirm", Tone::warning);
  }
  return page.text();
}

// The list of errors may be cut, its count is not.
std::string render_validation(const Value& result, const Look& look) {
  Page page(look.colour);
  put_problems(result, page);
  const auto shown = static_cast<std::int64_t>(items_in(result, "errors").size());
  const std::int64_t all = std::max(number_in(result, "errorCount"), shown);
  const std::string what = counted(number_in(result, "files"), "file") + ", " +
                           counted(number_in(result, "objects"), "object");
  if (truth_in(result, "valid")) {
    page.line({{what + ": "}, {"valid", Tone::good}});
  } else {
    page.line({{what + ": "}, {counted(all, "error"), Tone::bad}});
  }
  return page.text();
}

std::string render_images(const Value& images, const Look& look) {
  Page page(look.colour);
  Rows rows{{{"NAME", Tone::faint}, {"DIGEST", Tone::faint}, {"SIZE", Tone::faint}}};
  for (const auto& image : items_in(images, "images")) {
    constexpr std::size_t kShortDigest = 19;  // sha256: and twelve digits
    rows.push_back({{text_in(image, "name")},
                    {text_in(image, "digest").substr(0, kShortDigest)},
                    {format_size(number_in(image, "size"))}});
  }
  page.rows(rows);
  return page.text();
}

// The outcome is only there when the daemon was asked to wait.
std::string render_sync(const Value& result, const Look& look) {
  Page page(look.colour);
  Rows rows;
  for (const auto& source : items_in(result, "sources")) {
    const std::string error = text_in(source, "error");
    rows.push_back({{text_in(source, "source"), Tone::strong},
                    {short_revision(text_in(source, "revision"))},
                    {error, Tone::bad}});
  }
  page.rows(rows);
  const std::string outcome = text_in(result, "outcome");
  if (!outcome.empty()) {
    page.line({{short_revision(text_in(result, "revision")) + " is "},
               {outcome, outcome == "ready" ? Tone::good : Tone::bad},
               {spaced(text_in(result, "reason"))}});
    put_lines(text_in(result, "message"), "  ", page);
  }
  return page.text();
}

}  // namespace moored::ctl
