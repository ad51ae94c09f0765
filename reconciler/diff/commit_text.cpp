// How a CommitPlan is shown: as a value tree and as Markdown.
#include "reconciler/diff/commit.hpp"

#include "schema/base/log.hpp"

namespace moored {
namespace {

// Kubernetes' words for the three.
constexpr std::string_view verb_name(ObjectChange::Verb verb) {
  switch (verb) {
    case ObjectChange::Verb::create: return "create";
    case ObjectChange::Verb::update: return "update";
    case ObjectChange::Verb::remove: return "delete";
  }
  return "";
}

std::size_t count(const CommitPlan& plan, ObjectChange::Verb verb) {
  std::size_t n = 0;
  for (const ObjectChange& change : plan.changes) n += change.verb == verb ? 1U : 0U;
  return n;
}

// Counts are small: the cast is safe below the limit of objects.
Value of_count(std::size_t n) { return Value::of_integer(static_cast<std::int64_t>(n)); }

Value field_value(const FieldChange& change) {
  Value value = Value::make_map();
  value.put("path", Value::of_text(change.path));
  value.put("before", Value::of_text(change.before));
  value.put("after", Value::of_text(change.after));
  return value;
}

// One entry of changes.
Value change_value(const ObjectChange& change) {
  Value value = Value::make_map();
  value.put("verb", Value::of_text(std::string(verb_name(change.verb))));
  value.put("object", Value::of_text(change.key.text()));
  value.put("file", Value::of_text(change.provenance.file));
  value.put("line", Value::of_integer(change.provenance.line));
  Value fields = Value::make_list();
  for (const FieldChange& field : change.changes) fields.items.push_back(field_value(field));
  value.put("changes", std::move(fields));
  return value;
}

// One entry of errors or warnings, with an empty text for what is unknown.
Value error_value(const Error& error) {
  Value value = Value::make_map();
  value.put("reason", Value::of_text(error.reason));
  value.put("message", Value::of_text(error.message));
  value.put("file", Value::of_text(error.place.file));
  value.put("line", Value::of_integer(error.place.line));
  value.put("column", Value::of_integer(error.place.column));
  value.put("field", Value::of_text(error.place.field));
  value.put("fix", Value::of_text(error.fix));
  return value;
}

Value errors_value(const std::vector<Error>& errors) {
  Value list = Value::make_list();
  for (const Error& error : errors) list.items.push_back(error_value(error));
  return list;
}

// The line that people read first.
std::string summary(const CommitPlan& plan) {
  return std::to_string(count(plan, ObjectChange::Verb::create)) + " to create, " +
         std::to_string(count(plan, ObjectChange::Verb::update)) + " to update, " +
         std::to_string(count(plan, ObjectChange::Verb::remove)) + " to delete, " +
         std::to_string(plan.unchanged) + " unchanged";
}

// One line of Markdown code: without line breaks and backquotes, which would end it.
std::string inline_code(const std::string& text) {
  std::string safe = escape_text(text, 200);
  for (char& letter : safe) {
    if (letter == '`') letter = '\'';
  }
  return "`" + (safe.empty() ? std::string("(absent)") : safe) + "`";
}

// One line for the object and one below it for each field.
void append_change(std::string& out, const ObjectChange& change) {
  out += "- " + std::string(verb_name(change.verb)) + " " + inline_code(change.key.text());
  if (!change.provenance.file.empty()) {
    out += " (" + escape_text(change.provenance.file) + ":" +
           std::to_string(change.provenance.line) + ")";
  }
  out += "\n";
  for (const FieldChange& field : change.changes) {
    out += "  - " + inline_code(field.path) + ": " + inline_code(field.before) + " → " +
           inline_code(field.after) + "\n";
  }
}

}  // namespace

Value to_value(const CommitPlan& plan) {
  Value value = Value::make_map();
  value.put("unit", Value::of_text(plan.unit));
  value.put("revision", Value::of_text(plan.revision));
  value.put("held", Value::of_boolean(plan.held));
  Value totals = Value::make_map();
  totals.put("create", of_count(count(plan, ObjectChange::Verb::create)));
  totals.put("update", of_count(count(plan, ObjectChange::Verb::update)));
  totals.put("delete", of_count(count(plan, ObjectChange::Verb::remove)));
  totals.put("unchanged", of_count(plan.unchanged));
  value.put("summary", std::move(totals));
  Value changes = Value::make_list();
  for (const ObjectChange& change : plan.changes) changes.items.push_back(change_value(change));
  value.put("changes", std::move(changes));
  value.put("errors", errors_value(plan.diagnostics.errors()));
  value.put("warnings", errors_value(plan.diagnostics.warnings()));
  return value;
}

std::string to_markdown(const CommitPlan& plan) {
  std::string out = "### " + escape_text(plan.unit) + " at " + inline_code(plan.revision) + "\n\n";
  if (!plan.diagnostics.ok()) {
    out += "**Refused: " + std::to_string(plan.diagnostics.error_count()) + " error(s)**\n\n";
    for (const Error& error : plan.diagnostics.errors()) {
      out += "- " + escape_text(error.reason) + ": " + escape_text(error.text()) + "\n";
    }
    return out;
  }
  out += summary(plan) + "\n";
  if (plan.held) out += "\n**Held: the deletions need a confirmation.**\n";
  if (!plan.changes.empty()) out += "\n";
  for (const ObjectChange& change : plan.changes) append_change(out, change);
  for (const Error& warning : plan.diagnostics.warnings()) {
    out += "- warning: " + escape_text(warning.text()) + "\n";
  }
  return out;
}

}  // namespace moored
