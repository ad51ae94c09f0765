// Text to objects; the one place where the suffix of a file matters.
#include "gitsync/load/parse.hpp"

#include <optional>
#include <utility>

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"

namespace moored::git {
namespace {

constexpr std::string_view kLfsFirstLine = "version https://git-lfs.github.com/spec/";

// The suffix decides, as it does for kubectl.
bool is_json(std::string_view path) {
  return path.size() >= 5 && path.substr(path.size() - 5) == ".json";
}

// The v1 List, and those of one kind such as ConfigMapList: kubectl takes both, and each item says
// for itself what it is.
bool is_list(const Value& document) {
  if (!document.is_map()) return false;
  const Value* kind = document.find("kind");
  const Value* version = document.find("apiVersion");
  if (kind == nullptr || version == nullptr) return false;
  if (kind->scalar == "List") return version->scalar == "v1";
  const Value* items = document.find("items");
  const std::string& name = kind->scalar;
  return name.size() > 4 && name.compare(name.size() - 4, 4, "List") == 0 && items != nullptr &&
         items->is_list();
}

void decode_document(const Value& document, const std::string& target_namespace,
                     std::size_t depth, ParsedFile& parsed);

// kind: List holds objects in items; nothing else of it says anything about them.
void expand_list(const Value& list, const std::string& target_namespace, std::size_t depth,
                 ParsedFile& parsed) {
  const auto refuse = [&](std::string reason, std::string message, const Mark& mark) {
    parsed.diagnostics.add_error(Error{Code::invalid, std::move(message), std::move(reason),
                                       Place{{}, mark.line, mark.column, "items"}, {}});
  };
  if (depth >= kMaxListDepth) {
    return refuse("NestingLimit", "lists are nested more than 8 deep", list.mark);
  }
  for (const auto& [key, value] : list.members) {
    const bool known = key.scalar == "apiVersion" || key.scalar == "kind" ||
                       key.scalar == "metadata" || key.scalar == "items";
    if (!known) refuse("UnknownField", "a List has no field " + key.scalar, key.mark);
  }
  const Value* items = list.find("items");
  if (items == nullptr || items->type == Value::Type::null) return;
  if (!items->is_list()) return refuse("WrongType", "items must be a list", items->mark);
  for (const auto& item : items->items) {
    decode_document(item, target_namespace, depth + 1, parsed);
  }
}

// Errors are in the diagnostics already; an object that has none is kept.
void decode_document(const Value& document, const std::string& target_namespace,
                     std::size_t depth, ParsedFile& parsed) {
  if (is_list(document)) return expand_list(document, target_namespace, depth, parsed);
  auto object = decode_manifest(document, {}, parsed.diagnostics);
  if (!object) return;
  Provenance provenance;
  provenance.line = document.mark.line;
  parsed.objects.push_back(
      in_namespace(*object, target_namespace).with_provenance(std::move(provenance)));
}

}  // namespace

Object in_namespace(const Object& object, const std::string& target_namespace) {
  if (!object.kind().namespaced) return object;
  const std::string& own = object.meta().namespace_name;
  const std::string& wanted =
      !target_namespace.empty() ? target_namespace : own.empty() ? "default" : own;
  if (own == wanted) return object;
  // The reference may point into the object that is about to be copied.
  const std::string chosen = wanted;
  std::shared_ptr<void> body = object.kind().copy(object.body());
  object.kind().meta(body.get()).namespace_name = chosen;
  return Object(object.kind(), std::move(body), object.provenance());
}

ParsedFile parse_manifests(std::string_view text, std::string_view path,
                           const std::string& target_namespace) {
  ParsedFile parsed;
  // Otherwise the person would get a YAML error about a file they have never seen.
  if (text.substr(0, kLfsFirstLine.size()) == kLfsFirstLine) {
    parsed.diagnostics.add_error(Error{Code::invalid,
                                       "the file is a pointer of Git LFS, not its content",
                                       "LfsPointer", Place{{}, 1, 1, {}},
                                       "commit the manifest itself"});
    return parsed;
  }
  std::vector<Value> documents;
  if (is_json(path)) {
    auto document = read_json(text);
    if (document) {
      documents.push_back(*std::move(document));
    } else {
      parsed.diagnostics.add_error(std::move(document).error());
    }
  } else {
    documents = read_yaml(text, {}, parsed.diagnostics);
  }
  parsed.documents = documents.size();
  for (const auto& document : documents) {
    decode_document(document, target_namespace, 0, parsed);
  }
  return parsed;
}

}  // namespace moored::git
