// The facade of the engine: whole objects, from a document to a checked value.
#include "schema/base/log.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"
#include "schema/codec/text_check.hpp"
#include "schema/model/unsupported.hpp"

namespace moored {
namespace {

using codec::Decoder;
using codec::Strictness;
using codec::text_error;

// The text of a top-level member, or nothing with an error.
std::optional<std::string> read_name(const Value& document, std::string_view member,
                                     const std::string& file, Diagnostics& diagnostics) {
  const Value* value = document.find(member);
  if (value != nullptr && value->type == Value::Type::text && !value->scalar.empty()) {
    return value->scalar;
  }
  const Mark mark = value != nullptr ? value->mark : document.mark;
  auto error = value == nullptr || value->type == Value::Type::null
                   ? text_error("InvalidValue", "the field is required", file, mark,
                                std::string(member))
                   : text_error("WrongType", "a string is wanted", file, mark,
                                std::string(member));
  diagnostics.add_error(std::move(error));
  return std::nullopt;
}

// Words the error for a kind that has no row: known to Kubernetes, misspelt, or unknown.
Error unknown_kind(const Value& document, const std::string& api_version, const std::string& kind,
                   const std::string& file) {
  const auto at_kind = document.find("kind")->mark;
  if (const auto* known = find_unsupported(api_version, kind)) {
    auto error = text_error("UnknownKind",
                            api_version + " " + kind + " is not carried out: " +
                                std::string(known->reason),
                            file, at_kind, "kind");
    error.fix = known->fix;
    return error;
  }
  std::vector<std::string_view> names;
  for (const auto* row : all_kinds()) {
    if (row->kind == kind) {
      auto error = text_error("UnknownKind", kind + " is not served as " + api_version, file,
                              document.find("apiVersion")->mark, "apiVersion");
      error.fix = "write apiVersion: " + row->api_version();
      return error;
    }
    names.push_back(row->kind);
  }
  const auto near = nearest_name(kind, names);
  auto error = text_error("UnknownKind", "there is no kind " + escape_text(kind, 64), file,
                          at_kind, "kind");
  error.fix = near.empty() ? "remove the document" : "did you mean " + near + "?";
  return error;
}

const Kind* find_manifest_kind(const Value& document, const std::string& file,
                               Diagnostics& diagnostics) {
  const auto api_version = read_name(document, "apiVersion", file, diagnostics);
  const auto kind = read_name(document, "kind", file, diagnostics);
  if (!api_version || !kind) return nullptr;
  const Kind* row = find_kind(*api_version, *kind);
  if (row == nullptr) {
    diagnostics.add_error(unknown_kind(document, *api_version, *kind, file));
  } else if (row->origin == Origin::internal) {
    auto error = text_error("Forbidden", "only moored writes objects of kind " + *kind, file,
                            document.find("kind")->mark, "kind");
    error.fix = "remove the document";
    diagnostics.add_error(std::move(error));
    return nullptr;
  }
  return row;
}

}  // namespace

std::optional<Object> decode_manifest(const Value& document, const std::string& file,
                                      Diagnostics& diagnostics) {
  if (!document.is_map()) {
    diagnostics.add_error(
        text_error("WrongType", "the document is not an object", file, document.mark));
    return std::nullopt;
  }
  Diagnostics own;
  const Kind* kind = find_manifest_kind(document, file, own);
  std::shared_ptr<void> body;
  if (kind != nullptr) {
    body = kind->make();
    Decoder(file, Strictness::manifest, own).read_document(kind->schema(), document, body.get());
    if (own.ok()) {
      codec::apply_defaults(kind->schema(), body.get());
      codec::run_checks(kind->schema(), body.get(), document, file, own);
    }
  }
  const bool ok = own.ok();
  diagnostics.take(std::move(own));
  if (!ok) return std::nullopt;
  Provenance provenance;
  provenance.file = file;
  provenance.line = document.mark.line;
  return Object(*kind, std::move(body), std::move(provenance));
}

namespace {

// What we wrote ourselves and cannot read is damaged, whatever is wrong with it.
Status corrupt_unless_ok(const Diagnostics& diagnostics) {
  if (diagnostics.ok()) return {};
  auto error = diagnostics.errors().front();
  error.code = Code::corrupt;
  return Unexpected(std::move(error));
}

}  // namespace

Status decode_struct(const TypeSchema& schema, const Value& document, void* object) {
  Diagnostics diagnostics;
  Decoder({}, Strictness::stored, diagnostics).read_struct(schema, document, object, {});
  return corrupt_unless_ok(diagnostics);
}

Result<Object> decode_stored(const Kind& kind, const Value& document) {
  if (!document.is_map()) return fail(Code::corrupt, "the stored object is not a map");
  auto body = kind.make();
  Diagnostics diagnostics;
  Decoder({}, Strictness::stored, diagnostics).read_document(kind.schema(), document, body.get());
  MOORED_CHECK(corrupt_unless_ok(diagnostics));
  return Object(kind, std::move(body));
}

Result<Object> decode_stored_json(const Kind& kind, std::string_view json) {
  TextLimits limits;
  limits.file_bytes = 64U << 20U;
  limits.nodes = 5'000'000;
  MOORED_TRY(const auto document, read_json(json, std::string(kind.kind), limits));
  return decode_stored(kind, document);
}

}  // namespace moored
