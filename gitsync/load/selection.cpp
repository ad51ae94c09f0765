#include "gitsync/load/selection.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "schema/model/flux.hpp"

namespace moored::git {
namespace {

// Where the object begins, with the field that is wrong.
Place place_of(const Object& object, std::string field) {
  return Place{object.provenance().file, object.provenance().line, 0, std::move(field)};
}

// Names of machines and the two wildcards; nothing that could be read in another way.
bool is_host_pattern(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '*' ||
           c == '?';
  });
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool names_kind(const std::vector<std::string>& kinds, const Kind& kind) {
  return contains(kinds, std::string(kind.kind)) ||
         contains(kinds, std::string(kind.kind) + '.' + std::string(kind.group));
}

// What the source may not declare of this object, or nothing.
std::string find_breach(const Object& object, const SourceRights& rights) {
  const Kind& kind = object.kind();
  const bool named = names_kind(rights.kinds, kind);
  const bool steers = &kind == &kind_of<GitRepository>() || &kind == &kind_of<Kustomization>();
  if (steers && !named) return "sources and units";
  if (!rights.kinds.empty() && !named) return "objects of the kind " + std::string(kind.kind);
  if (rights.namespaces.empty()) return {};
  const auto& meta = object.meta();
  if (kind.kind == "Namespace" && contains(rights.namespaces, meta.name)) return {};
  if (!kind.namespaced) return named ? "" : "objects without a namespace";
  if (contains(rights.namespaces, meta.namespace_name)) return {};
  return "objects in the namespace " + meta.namespace_name;
}

}  // namespace

Result<bool> is_for_host(const Object& object, const std::string& host) {
  const auto& annotations = object.meta().annotations;
  const auto found = annotations.find(std::string(kHostsAnnotation));
  if (found == annotations.end()) return true;
  bool wanted = false;
  bool only_negated = true;
  bool taken_out = false;
  std::string_view rest = found->second;
  do {
    const std::size_t comma = rest.find(',');
    std::string_view word = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    const bool negated = !word.empty() && word.front() == '!';
    if (negated) word.remove_prefix(1);
    if (!is_host_pattern(word)) {
      return Unexpected(Error{Code::invalid, "a name of a machine, or a pattern of it, is wanted",
                              "InvalidValue",
                              place_of(object, "metadata.annotations[" +
                                                   std::string(kHostsAnnotation) + "]"),
                              "write for instance web-*, db-1, !web-3"});
    }
    const bool fits = ::fnmatch(std::string(word).c_str(), host.c_str(), 0) == 0;
    only_negated = only_negated && negated;
    (negated ? taken_out : wanted) |= fits;
  } while (!rest.empty());
  if (host.empty()) return true;
  return (wanted || only_negated) && !taken_out;
}

void check_rights(const std::vector<Object>& objects, const SourceRights& rights,
                  Diagnostics& diagnostics) {
  if (rights == SourceRights{}) return;
  for (const auto& object : objects) {
    const std::string what = find_breach(object, rights);
    if (what.empty()) continue;
    diagnostics.add_error(Error{Code::denied, "this source may not declare " + what, "Forbidden",
                                place_of(object, {}),
                                "ask the operator: sources.rights in moored.yaml says so"});
  }
}

}  // namespace moored::git
