#include "net/api/openapi.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/api/json_text.hpp"
#include "net/api/resources.hpp"
#include "schema/host/sha256.hpp"

namespace moored::net::api {
namespace {

// The schemas that a document refers to, each once.
class Components {
 public:
  // The name under which a type stands among the components.
  static std::string name_of(const TypeSchema& schema) {
    return "io.moored." + std::string(schema.name);
  }
  // Makes sure the type and all it refers to are there.
  void add(const TypeSchema& schema);
  // Adds the whole of a kind: its rows with apiVersion and kind.
  void add_kind(const Resource& resource);
  // All of them as one JSON object.
  std::string text() const;

 private:
  std::string properties_of(const TypeSchema& schema, bool whole_kind);
  void append_type(std::string& out, const Type& type);

  std::map<std::string, std::string> schemas_;  // name to JSON
};

void append_reference(std::string& out, const TypeSchema& schema) {
  out += R"("allOf":[{"$ref":"#/components/schemas/)" + Components::name_of(schema) + "\"}]";
}

void Components::append_type(std::string& out, const Type& type) {
  switch (type.shape) {
    case Shape::boolean:
      out += R"("type":"boolean")";
      return;
    case Shape::int32:
      out += R"("type":"integer","format":"int32")";
      return;
    case Shape::int64:
      out += R"("type":"integer","format":"int64")";
      return;
    case Shape::text:
    case Shape::quantity:
      out += R"("type":"string")";
      return;
    case Shape::int_or_string:
      out += R"("type":"string","format":"int-or-string")";
      return;
    case Shape::time:
      out += R"("type":"string","format":"date-time")";
      return;
    case Shape::object:
      add(type.object());
      append_reference(out, type.object());
      return;
    case Shape::optional:
      append_type(out, *type.element);
      return;
    case Shape::list:
      out += R"("type":"array","items":{)";
      break;
    case Shape::map:
      out += R"("type":"object","additionalProperties":{)";
      break;
  }
  append_type(out, *type.element);
  out.push_back('}');
}

std::string Components::properties_of(const TypeSchema& schema, bool whole_kind) {
  std::string out = R"("type":"object","properties":{)";
  if (whole_kind) {
    out += R"("apiVersion":{"type":"string","description":"The version of the object's schema."},)"
           R"("kind":{"type":"string","description":"The kind of the object."})";
  }
  std::string required;
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;  // Kubernetes has it, moored refuses it
    append_name(out, field.name);
    out.push_back('{');
    if (!field.doc.empty()) append_member(out, "description", field.doc);
    if (out.back() != '{') out.push_back(',');
    append_type(out, *field.type);
    if (!field.fallback.empty()) out.append(",\"default\":").append(field.fallback);
    out.push_back('}');
    if ((field.flags & kRequired) != 0)
      required += (required.empty() ? "" : ",") + quoted(field.name);
  }
  out.push_back('}');
  if (!required.empty()) out += ",\"required\":[" + required + "]";
  return out;
}

void Components::add(const TypeSchema& schema) {
  const auto name = name_of(schema);
  if (schemas_.count(name) != 0) return;
  schemas_[name] = {};  // taken, so that a type that holds itself ends here
  auto properties = properties_of(schema, false);
  schemas_[name] = "{" + properties + "}";
}

void append_kind_mark(std::string& out, const Resource& resource) {
  out.push_back('{');
  append_member(out, "group", resource.group);
  append_member(out, "version", resource.version);
  append_member(out, "kind", resource.kind);
  out.push_back('}');
}

void Components::add_kind(const Resource& resource) {
  const auto& schema = resource.stored->schema();
  std::string out = "{";
  append_member(out, "description", std::string(resource.kind) + " as moored carries it out.");
  out.push_back(',');
  out += properties_of(schema, true);
  out += R"(,"x-kubernetes-group-version-kind":[)";
  append_kind_mark(out, resource);
  out += "]}";
  schemas_[name_of(schema)] = std::move(out);
}

std::string Components::text() const {
  std::string out = "{";
  for (const auto& [name, schema] : schemas_) {
    append_name(out, name);
    out += schema;
  }
  out.push_back('}');
  return out;
}

// One operation of a path. The patch with its fieldValidation parameter tells clients that the
// server validates: they send the write, and get the refusal that says where to make the change.
void append_operation(std::string& out, const Resource& resource, std::string_view method,
                      std::string_view action) {
  append_name(out, method);
  out += "{\"x-kubernetes-action\":" + quoted(action) + ",\"x-kubernetes-group-version-kind\":";
  append_kind_mark(out, resource);
  if (method == "get") {
    out += R"(,"responses":{"200":{"description":"OK"}}})";
    return;
  }
  out += R"(,"parameters":[{"name":"dryRun","in":"query","schema":{"type":"string"}},)"
         R"({"name":"fieldValidation","in":"query","schema":{"type":"string"}}],)"
         R"("responses":{"405":{"description":"moored is read-only"}}})";
}

void append_paths(std::string& out, const Resource& resource) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/";
  path += resource.api_version();
  if (resource.namespaced) path += "/namespaces/{namespace}";
  path += "/" + std::string(resource.plural);
  append_name(out, path);
  out.push_back('{');
  append_operation(out, resource, "get", "list");
  append_operation(out, resource, "post", "post");
  out.push_back('}');
  append_name(out, path + "/{name}");
  out.push_back('{');
  append_operation(out, resource, "get", "get");
  append_operation(out, resource, "patch", "patch");
  out.push_back('}');
}

std::string make_document(std::string_view group, std::string_view version) {
  Components components;
  std::string paths = "{";
  for (const auto& row : all_resources()) {
    if (row.group != group || row.version != version || row.stored == nullptr) continue;
    append_paths(paths, row);
    components.add_kind(row);
  }
  paths.push_back('}');
  return R"({"openapi":"3.0.0","info":{"title":"moored","version":"v)" MOORED_VERSION
         R"("},"paths":)" +
         paths + R"(,"components":{"schemas":)" + components.text() + "}}";
}

// A document and the digest of its content.
struct Document {
  std::string path;  // api/v1, apis/apps/v1
  Body body;
  std::string hash;
};

// All documents, made on first use: they depend on nothing but the program.
const std::map<std::string, Document>& documents() {
  static const auto all = [] {
    std::map<std::string, Document> made;
    for (const auto& row : all_resources()) {
      const auto api_version = row.api_version();
      if (!row.listed || row.stored == nullptr || made.count(api_version) != 0) continue;
      Document document;
      document.path = (row.group.empty() ? "api/" : "apis/") + api_version;
      document.body = std::make_shared<const std::string>(make_document(row.group, row.version));
      document.hash = sha256_hex(*document.body).substr(0, 32);
      made.emplace(api_version, std::move(document));
    }
    return made;
  }();
  return all;
}

}  // namespace

Response openapi_index() {
  std::string out = R"({"paths":{)";
  for (const auto& [api_version, document] : documents()) {
    append_name(out, document.path);
    out.push_back('{');
    append_member(out, "serverRelativeURL",
                  "/openapi/v3/" + document.path + "?hash=" + document.hash);
    out.push_back('}');
  }
  out += "}}";
  return make_json(std::move(out));
}

Response openapi_document(std::string_view group, std::string_view version) {
  const auto name =
      group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
  const auto it = documents().find(name);
  if (it == documents().end()) return make_response(404, "text/plain", "404 page not found\n");
  Response response;
  response.content_type = "application/json";
  response.headers = {{"ETag", quoted(it->second.hash)}};
  response.body = it->second.body;
  return response;
}

}  // namespace moored::net::api
