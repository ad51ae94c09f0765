#include "net/api/dry_run.hpp"

#include "net/api/encoding.hpp"
#include "net/api/failure.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/ports/preview.hpp"

namespace moored::net::api {
namespace {

constexpr const char* kBody = "request";

// By its beginning, as parameters may follow the type.
bool has_type(const Request& request, std::string_view type) {
  return same_name(request.header("content-type").substr(0, type.size()), type);
}

// Patches other than a whole manifest would need the rules of each list; Git has whole manifests.
Response refuse_patch(const Target& target) {
  Failure failure;
  failure.code = 405;
  failure.reason = "MethodNotAllowed";
  failure.message =
      "moored tries whole manifests only: use kubectl diff --server-side, or moorctl plan";
  failure.name = target.name;
  failure.group = target.resource->group;
  failure.resource = target.resource->plural;
  return refuse(failure);
}

Response refuse_type() {
  auto failure = bad_request(
      "the body of the request was in an unknown format - accepted media types include: "
      "application/json, application/apply-patch+yaml (written as JSON)");
  failure.code = 415;
  failure.reason = "UnsupportedMediaType";
  return refuse(failure);
}

Response refuse_object(const Target& target, const std::string& why) {
  Failure failure;
  failure.code = 422;
  failure.reason = "Invalid";
  failure.message = why;
  failure.name = target.name;
  failure.group = target.resource->group;
  failure.resource = target.resource->kind;
  return refuse(failure);
}

std::string text_of(const Diagnostics& diagnostics) {
  std::string text;
  for (const auto& error : diagnostics.errors()) {
    text += (text.empty() ? "" : "; ") + error.text();
  }
  return text;
}

// A manifest may leave its namespace to the path, as with kubectl -n.
void put_namespace(Value& document, const std::string& name) {
  for (auto& [key, value] : document.members) {
    if (key.scalar != "metadata" || !value.is_map()) continue;
    if (value.find("namespace") == nullptr) value.put("namespace", Value::of_text(name));
  }
}

// The path decides which object is meant; a body that says otherwise is a mistake.
Status check_place(const Target& target, const Object& object) {
  const auto& meta = object.meta();
  if (&object.kind() != target.resource->stored) {
    return fail(Code::invalid, "the body is a " + std::string(object.kind().kind) + ", not a " +
                                   std::string(target.resource->kind));
  }
  if (!target.name.empty() && meta.name != target.name) {
    return fail(Code::invalid, "the body names " + meta.name + ", the path " + target.name);
  }
  if (target.resource->namespaced && meta.namespace_name != target.namespace_name) {
    return fail(Code::invalid, "the body is of namespace " + meta.namespace_name +
                                   ", the path of " + target.namespace_name);
  }
  return {};
}

}  // namespace

bool is_dry_run(const Request& request, const Query& query) {
  const bool writes = request.method == "POST" || request.method == "PATCH";
  return writes && query.get("dryRun") == "All";
}

Response answer_dry_run(const Target& target, const Request& request, const ApiContext& context) {
  const bool patch = request.method == "PATCH";
  if (patch && !has_type(request, "application/apply-patch")) return refuse_patch(target);
  if (!patch && !has_type(request, "application/json")) return refuse_type();
  auto document = read_json(request.body, kBody);
  if (!document) {
    return patch ? refuse_type() : refuse(bad_request(document.error().text()));
  }
  if (target.resource->namespaced) put_namespace(*document, target.namespace_name);
  Diagnostics diagnostics;
  const auto declared = decode_manifest(*document, kBody, diagnostics);
  if (!declared || !diagnostics.ok()) return refuse_object(target, text_of(diagnostics));
  if (const auto placed = check_place(target, *declared); !placed) {
    return refuse(bad_request(placed.error().text()));
  }
  const auto view = context.state.view();
  const auto result = context.preview->preview(*declared, *view);
  if (!result) return refuse_object(target, result.error().text());
  const bool known = view->find(declared->key()).has_value();
  return make_json(encode_for(*target.resource, *result).whole, known ? 200 : 201);
}

}  // namespace moored::net::api
