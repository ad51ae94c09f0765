#include "net/api/refusal.hpp"

#include "schema/model/flux.hpp"

namespace moored::net::api {
namespace {

// The source an object comes from, else the only one there is, else nothing.
std::optional<Object> find_source(const Target& target, const StateView& view) {
  const auto sources = view.list(kind_of<GitRepository>());
  if (target.resource != nullptr && target.resource->stored != nullptr && !target.name.empty()) {
    const auto object = view.find({target.resource->stored, target.namespace_name, target.name});
    const auto wanted = object ? object->provenance().source : std::string{};
    for (const auto& source : sources) {
      const auto& meta = source.meta();
      if (!wanted.empty() && meta.namespace_name + "/" + meta.name == wanted) return source;
    }
  }
  if (sources.size() == 1) return sources.front();
  return std::nullopt;
}

// "branch main", "tag v1" or "commit …": what the source follows.
std::string followed(const GitRepositorySpec& spec) {
  if (!spec.ref) return {};
  if (!spec.ref->commit.empty()) return "commit " + spec.ref->commit;
  if (!spec.ref->name.empty()) return "reference " + spec.ref->name;
  if (!spec.ref->tag.empty()) return "tag " + spec.ref->tag;
  if (!spec.ref->branch.empty()) return "branch " + spec.ref->branch;
  return {};
}

}  // namespace

Failure refuse_write(const Target& target, const StateView& view) {
  Failure failure;
  failure.code = 405;
  failure.reason = "MethodNotAllowed";
  failure.message = "moored is read-only: change the Git repository instead";
  if (const auto source = find_source(target, view)) {
    const auto& spec = source->as<GitRepository>().spec;
    failure.message = "moored is read-only: change " + hide_credentials(spec.url);
    const auto where = followed(spec);
    if (!where.empty()) failure.message += " " + where;
    failure.message += " instead";
  }
  if (target.resource != nullptr) {
    failure.name = target.name;
    failure.group = target.resource->group;
    failure.resource = target.resource->plural;
  }
  return failure;
}

}  // namespace moored::net::api
