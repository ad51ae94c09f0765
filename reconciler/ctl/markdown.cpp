// The plan of a commit as a comment on a pull request.
#include <fmt/format.h>

#include "gitsync/repo/names.hpp"
#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/page.hpp"
#include "reconciler/ctl/render.hpp"

namespace moored::ctl {
namespace {

constexpr std::size_t kLongestValue = 200;   // bytes of one field's value
constexpr std::size_t kLongestPage = 60'000;  // bytes; hosts cut comments a little above this

// Foreign text as code in a table: nothing in it can end the code, the cell or the line.
std::string code(const std::string& text) {
  if (text.empty()) return "–";
  std::string safe = "`";
  for (const char c : git::show_text(text, kLongestValue)) {
    if (c == '`') {
      safe += '\'';
    } else if (c == '|') {
      safe += "\\|";
    } else {
      safe += c;
    }
  }
  return safe + '`';
}

// Verb, object and place: what a reviewer skims.
std::string row_of(const Value& change) {
  const std::string file = text_in(change, "file");
  const std::string place =
      file.empty() ? "" : file + ':' + std::to_string(number_in(change, "line"));
  return "| " + text_in(change, "verb") + " | " + code(text_in(change, "object")) + " | " +
         code(place) + " |\n";
}

// Folded in: a rollout touches few fields, a chart update hundreds.
std::string fields_of(const Value& change) {
  const auto& fields = items_in(change, "changes");
  if (fields.empty()) return {};
  std::string out = "\n<details><summary>" + text_in(change, "verb") + ' ' +
                    code(text_in(change, "object")) +
                    "</summary>\n\n| field | before | after |\n|---|---|---|\n";
  for (const auto& field : fields) {
    out += "| " + code(text_in(field, "path")) + " | " + code(text_in(field, "before")) + " | " +
           code(text_in(field, "after")) + " |\n";
  }
  return out + "\n</details>\n";
}

// A table, so that places stand under one another.
std::string problems_of(const Value& plan, std::string_view list) {
  std::string out;
  for (const auto& problem : items_in(plan, list)) {
    const std::string place = text_in(problem, "file") + ':' +
                              std::to_string(number_in(problem, "line")) + ':' +
                              std::to_string(number_in(problem, "column"));
    out += "| " + code(place) + " | " + code(text_in(problem, "reason")) + " | " +
           code(text_in(problem, "message")) + " | " + code(text_in(problem, "fix")) + " |\n";
  }
  if (out.empty()) return out;
  return "\n| place | reason | what | fix |\n|---|---|---|---|\n" + out;
}

}  // namespace

std::string render_plan_markdown(const Value& plan) {
  std::string out = "### moored: " + code(text_in(plan, "unit")) + " at " +
                    code(short_revision(text_in(plan, "revision"))) + "\n\n";
  const auto& changes = items_in(plan, "changes");
  const Value* summary = plan.find("summary");
  if (!items_in(plan, "errors").empty()) {
    out += "**This commit would be refused.** What runs would keep running.\n";
    return out + problems_of(plan, "errors");
  }
  if (changes.empty()) {
    out += "No change.\n";
  } else if (summary != nullptr) {
    out += fmt::format("**{} to create, {} to update, {} to delete**, {} unchanged\n",
                       number_in(*summary, "create"), number_in(*summary, "update"),
                       number_in(*summary, "delete"), number_in(*summary, "unchanged"));
  }
  if (truth_in(plan, "held")) {
    out += "\n**Held:** the deletions need a confirmation (`moorctl confirm`).\n";
  }
  if (!changes.empty()) out += "\n| | object | where |\n|---|---|---|\n";
  for (const auto& change : changes) out += row_of(change);
  out += problems_of(plan, "warnings");
  for (const auto& change : changes) {
    const std::string fields = fields_of(change);
    if (out.size() + fields.size() > kLongestPage) {
      return out + "\nMore than fits here: `moorctl plan` shows the rest.\n";
    }
    out += fields;
  }
  return out;
}

}  // namespace moored::ctl
