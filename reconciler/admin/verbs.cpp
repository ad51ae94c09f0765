#include "reconciler/admin/verbs.hpp"

namespace moored {
namespace {

template <class... Calls>
struct Overloaded : Calls... {
  using Calls::operator()...;
};
template <class... Calls>
Overloaded(Calls...) -> Overloaded<Calls...>;

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

}  // namespace

std::string admin_verb_name(const AdminVerb& verb) {
  return std::visit(
      Overloaded{
          [](const SyncVerb&) { return "sync"; }, [](const ExecVerb&) { return "exec"; },
          [](const ImageImportVerb&) { return "image-import"; },
          [](const ImageListVerb&) { return "image-ls"; },
          [](const ImageRemoveVerb&) { return "image-rm"; }, [](const PlanVerb&) { return "plan"; },
          [](const ConfirmVerb&) { return "confirm"; }, [](const DownVerb&) { return "down"; }},
      verb);
}

std::string admin_verb_subject(const AdminVerb& verb) {
  using Text = std::string;
  return std::visit(
      Overloaded{[](const SyncVerb& v) -> Text { return v.source; },
                 [](const ExecVerb& v) -> Text {
                   const Text container = v.container.empty() ? "" : "/" + v.container;
                   return v.namespace_name + "/" + v.pod + container + ": " + join(v.command);
                 },
                 [](const ImageImportVerb& v) -> Text { return v.path; },
                 [](const ImageListVerb&) -> Text { return {}; },
                 [](const ImageRemoveVerb& v) -> Text { return v.name; },
                 [](const PlanVerb& v) -> Text { return v.path.empty() ? v.unit : v.path; },
                 [](const ConfirmVerb& v) -> Text {
                   return v.unit.empty() ? v.revision : v.unit + " " + v.revision;
                 },
                 [](const DownVerb&) -> Text { return {}; }},
      verb);
}

bool admin_verb_acts(const AdminVerb& verb) {
  return !std::holds_alternative<ImageListVerb>(verb) && !std::holds_alternative<PlanVerb>(verb) &&
         !std::holds_alternative<ConfirmVerb>(verb);
}

bool admin_verb_makes_room(const AdminVerb& verb) {
  return std::holds_alternative<ImageRemoveVerb>(verb) || std::holds_alternative<DownVerb>(verb);
}

Result<Value> dispatch(const AdminVerb& verb, AdminVerbs& verbs, AdminProgress& progress) {
  return std::visit(
      Overloaded{[&](const SyncVerb& v) { return verbs.sync(v, progress); },
                 [&](const ExecVerb& v) { return verbs.exec(v, progress); },
                 [&](const ImageImportVerb& v) { return verbs.image_import(v, progress); },
                 [&](const ImageListVerb& v) { return verbs.image_list(v, progress); },
                 [&](const ImageRemoveVerb& v) { return verbs.image_remove(v, progress); },
                 [&](const PlanVerb& v) { return verbs.plan(v, progress); },
                 [&](const ConfirmVerb& v) { return verbs.confirm(v, progress); },
                 [&](const DownVerb& v) { return verbs.down(v, progress); }},
      verb);
}

}  // namespace moored
