#include "net/api/discovery.hpp"

#include <algorithm>
#include <vector>

#include "net/api/json_text.hpp"
#include "net/api/resources.hpp"

namespace moored::net::api {
namespace {

// No writing verbs: what is desired comes from the repository, and kubectl must know
// beforehand.
constexpr std::string_view kReadVerbs = R"(["get","list","watch"])";
constexpr std::string_view kMeasureVerbs = R"(["get","list"])";
constexpr std::string_view kGetVerb = R"(["get"])";
constexpr std::string_view kCreateVerb = R"(["create"])";

// A review is answered when posted and never kept; usage is measured when it is asked for.
std::string_view verbs_of(const Resource& row) {
  if (row.usage) return kMeasureVerbs;
  return row.review() ? kCreateVerb : kReadVerbs;
}

// The groups in order, each once; old versions that are not advertised do not make a group.
std::vector<std::string_view> listed_groups() {
  std::vector<std::string_view> groups;
  for (const auto& row : all_resources()) {
    if (!row.listed || row.group.empty()) continue;
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) {
      groups.push_back(row.group);
    }
  }
  return groups;
}

// The advertised versions of a group in order; the first is the preferred one.
std::vector<std::string_view> listed_versions(std::string_view group) {
  std::vector<std::string_view> versions;
  for (const auto& row : all_resources()) {
    if (!row.listed || row.group != group) continue;
    if (std::find(versions.begin(), versions.end(), row.version) == versions.end()) {
      versions.push_back(row.version);
    }
  }
  return versions;
}

// An empty list is left out, as clients expect of optional members.
void append_list(std::string& out, std::string_view name, std::span<const std::string_view> texts) {
  if (texts.empty()) return;
  append_name(out, name);
  out.push_back('[');
  for (const auto text : texts) {
    if (out.back() != '[') out.push_back(',');
    append_text(out, text);
  }
  out.push_back(']');
}

// Written in advance as JSON: there are only three lists of verbs.
void append_verbs(std::string& out, std::string_view verbs) {
  append_name(out, "verbs");
  out += verbs;
}

// Opens another object of a list.
void open_item(std::string& out) {
  out += out.back() == '[' ? "{" : ",{";
}

// "all" is what `kubectl get all` asks for.
void append_names(std::string& out, const Resource& row) {
  constexpr std::string_view kAll[] = {"all"};
  append_list(out, "shortNames", row.short_names);
  if (row.in_all) append_list(out, "categories", kAll);
}

// ---- the old form -------------------------------------------------------------------------------

// A subresource is a row of its own here, named plural/sub.
void append_old_resource(std::string& out, const Resource& row) {
  open_item(out);
  append_member(out, "name", row.plural);
  append_member(out, "singularName", row.singular);
  append_name(out, "namespaced");
  out += row.namespaced ? "true" : "false";
  append_member(out, "kind", row.kind);
  append_verbs(out, verbs_of(row));
  append_names(out, row);
  out.push_back('}');
  for (const auto sub : row.subresources) {
    open_item(out);
    append_member(out, "name", std::string(row.plural) + "/" + std::string(sub));
    append_member(out, "singularName", "");
    append_name(out, "namespaced");
    out += row.namespaced ? "true" : "false";
    // The scale's kind is of another group than the resource it belongs to.
    if (sub == "scale") {
      append_member(out, "group", "autoscaling");
      append_member(out, "version", "v1");
    }
    append_member(out, "kind", sub == "scale" ? kScaleKind : row.kind);
    append_verbs(out, kGetVerb);
    out.push_back('}');
  }
}

// Both forms, because clients of different age read one or the other.
void append_group_version(std::string& out, std::string_view group, std::string_view version) {
  append_member(out, "groupVersion", std::string(group) + "/" + std::string(version));
  append_member(out, "version", version);
}

// Clients take preferredVersion, or the first of versions when they know none of it.
void append_old_group(std::string& out, std::string_view group) {
  const auto versions = listed_versions(group);
  append_member(out, "name", group);
  append_name(out, "versions");
  out.push_back('[');
  for (const auto version : versions) {
    open_item(out);
    append_group_version(out, group, version);
    out.push_back('}');
  }
  out.push_back(']');
  append_name(out, "preferredVersion");
  out.push_back('{');
  if (!versions.empty()) append_group_version(out, group, versions.front());
  out.push_back('}');
}

// ---- the aggregated form ------------------------------------------------------------------------

void append_response_kind(std::string& out, std::string_view group, std::string_view version,
                          std::string_view kind) {
  append_name(out, "responseKind");
  out.push_back('{');
  append_member(out, "group", group);
  append_member(out, "version", version);
  append_member(out, "kind", kind);
  out.push_back('}');
}

void append_subresources(std::string& out, const Resource& row) {
  if (row.subresources.empty()) return;
  append_name(out, "subresources");
  out.push_back('[');
  for (const auto sub : row.subresources) {
    open_item(out);
    append_member(out, "subresource", sub);
    if (sub == "scale") {
      append_response_kind(out, "autoscaling", "v1", kScaleKind);
    } else {
      append_response_kind(out, row.group, row.version, row.kind);
    }
    append_verbs(out, kGetVerb);
    out.push_back('}');
  }
  out.push_back(']');
}

// Here subresources lie inside of their resource, one reply for all groups.
void append_new_resource(std::string& out, const Resource& row) {
  open_item(out);
  append_member(out, "resource", row.plural);
  append_response_kind(out, row.group, row.version, row.kind);
  append_member(out, "scope", row.namespaced ? "Namespaced" : "Cluster");
  append_member(out, "singularResource", row.singular);
  append_verbs(out, verbs_of(row));
  append_names(out, row);
  append_subresources(out, row);
  out.push_back('}');
}

// "Current" tells clients that nothing is read from a server behind, which could be stale.
void append_new_group(std::string& out, std::string_view group) {
  open_item(out);
  append_name(out, "metadata");
  out.push_back('{');
  append_member(out, "name", group);
  append_name(out, "creationTimestamp");
  out += "null}";
  append_name(out, "versions");
  out.push_back('[');
  for (const auto version : listed_versions(group)) {
    open_item(out);
    append_member(out, "version", version);
    append_member(out, "freshness", "Current");
    append_name(out, "resources");
    out.push_back('[');
    for (const auto& row : all_resources()) {
      if (row.listed && row.group == group && row.version == version) append_new_resource(out, row);
    }
    out += "]}";
  }
  out += "]}";
}

Response aggregated(const Choice& choice, const std::vector<std::string_view>& groups) {
  std::string out = R"({"kind":"APIGroupDiscoveryList")";
  append_member(out, "apiVersion", "apidiscovery.k8s.io/" + choice.version);
  out += R"(,"metadata":{},"items":[)";
  for (const auto group : groups)
    append_new_group(out, group);
  out += "]}";
  auto response = make_json(std::move(out));
  // Clients take the body for the old form unless the type repeats what they asked for.
  response.content_type =
      "application/json;g=apidiscovery.k8s.io;v=" + choice.version + ";as=APIGroupDiscoveryList";
  return response;
}

}  // namespace

// The address lets a client inside of another network reach this server directly.
Response discover_core(const Choice& choice, const std::string& address) {
  if (choice.form == Form::discovery) return aggregated(choice, {""});
  std::string out = R"({"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{)";
  append_member(out, "clientCIDR", "0.0.0.0/0");
  append_member(out, "serverAddress", address);
  out += "}]}";
  return make_json(std::move(out));
}

Response discover_groups(const Choice& choice) {
  if (choice.form == Form::discovery) return aggregated(choice, listed_groups());
  std::string out = R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)";
  for (const auto group : listed_groups()) {
    open_item(out);
    append_old_group(out, group);
    out.push_back('}');
  }
  out += "]}";
  return make_json(std::move(out));
}

Response discover_group(std::string_view group) {
  std::string out = R"({"kind":"APIGroup","apiVersion":"v1")";
  append_old_group(out, group);
  out.push_back('}');
  return make_json(std::move(out));
}

Response discover_version(std::string_view group, std::string_view version) {
  std::string out = R"({"kind":"APIResourceList","apiVersion":"v1")";
  append_member(
      out, "groupVersion",
      group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version));
  append_name(out, "resources");
  out.push_back('[');
  for (const auto& row : all_resources()) {
    if (row.listed && row.group == group && row.version == version) append_old_resource(out, row);
  }
  out += "]}";
  return make_json(std::move(out));
}

// kubectl compares the minor version with its own. The date is fixed, for builds that can
// be repeated byte by byte.
Response discover_release() {
  std::string out = "{";
  append_member(out, "major", "1");
  append_member(out, "minor", "32");
  append_member(out, "gitVersion", "v1.32.0+moored." MOORED_VERSION);
  append_member(out, "gitCommit", "");
  append_member(out, "gitTreeState", "clean");
  append_member(out, "buildDate", "1970-01-01T00:00:00Z");
  append_member(out, "goVersion", "none");
  append_member(out, "compiler", "g++");
#if defined(__x86_64__)
  append_member(out, "platform", "linux/amd64");
#elif defined(__aarch64__)
  append_member(out, "platform", "linux/arm64");
#else
  append_member(out, "platform", "linux");
#endif
  out.push_back('}');
  return make_json(std::move(out));
}

}  // namespace moored::net::api
