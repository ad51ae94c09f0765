#include "net/api/openapi_v2.hpp"

#include <cstdint>
#include <map>

#include "net/api/json_text.hpp"
#include "net/api/resources.hpp"

namespace moored::net::api {
namespace {

// Field numbers of the messages in OpenAPIv2.proto.
enum DocumentField : std::uint32_t { kSwagger = 1, kInfo = 2, kPaths = 8, kDefinitions = 9 };
enum InfoField : std::uint32_t { kTitle = 1, kVersion = 2 };
enum SchemaField : std::uint32_t {
  kReference = 1,
  kFormat = 2,
  kDescription = 4,
  kRequiredName = 19,
  kAdditional = 21,
  kType = 22,
  kItems = 23,
  kProperties = 25,
  kExtension = 31,
};
// Of every message that only holds others, and of a name with its value.
constexpr std::uint32_t kOnly = 1;
constexpr std::uint32_t kName = 1;
constexpr std::uint32_t kValue = 2;
constexpr std::uint32_t kYaml = 2;
constexpr std::uint32_t kDelimited = 2;  // the wire type of texts and messages

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80U) {
    out.push_back(static_cast<char>((value & 0x7FU) | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<char>(value));
}

// A text, or a message that was written before.
void append_field(std::string& out, std::uint32_t number, std::string_view bytes) {
  append_varint(out, (static_cast<std::uint64_t>(number) << 3U) | kDelimited);
  append_varint(out, bytes.size());
  out += bytes;
}

// A message with one field.
std::string wrap(std::uint32_t number, std::string_view bytes) {
  std::string out;
  append_field(out, number, bytes);
  return out;
}

// A name with its value, as properties, definitions and extensions are listed.
std::string make_named(std::string_view name, std::string_view value) {
  std::string out;
  append_field(out, kName, name);
  append_field(out, kValue, value);
  return out;
}

std::string name_of(const TypeSchema& schema) {
  return "io.moored." + std::string(schema.name);
}

// The definitions that a document holds, each once.
class Definitions {
 public:
  void add_kind(const Resource& resource);
  std::string message() const;

 private:
  void add(const TypeSchema& schema);
  void append_type(std::string& out, const Type& type);
  std::string make_object(const TypeSchema& schema, std::string_view properties);

  std::map<std::string, std::string> schemas_;  // name to Schema message
};

void append_scalar(std::string& out, std::string_view type, std::string_view format = {}) {
  append_field(out, kType, wrap(kOnly, type));
  if (!format.empty()) append_field(out, kFormat, format);
}

void Definitions::append_type(std::string& out, const Type& type) {
  std::string element;
  switch (type.shape) {
    case Shape::boolean:
      return append_scalar(out, "boolean");
    case Shape::int32:
      return append_scalar(out, "integer", "int32");
    case Shape::int64:
      return append_scalar(out, "integer", "int64");
    case Shape::text:
    case Shape::quantity:
      return append_scalar(out, "string");
    case Shape::int_or_string:
      return append_scalar(out, "string", "int-or-string");
    case Shape::time:
      return append_scalar(out, "string", "date-time");
    case Shape::optional:
      return append_type(out, *type.element);
    case Shape::object:
      add(type.object());
      return append_field(out, kReference, "#/definitions/" + name_of(type.object()));
    case Shape::list:
      append_type(element, *type.element);
      append_field(out, kType, wrap(kOnly, "array"));
      return append_field(out, kItems, wrap(kOnly, element));
    case Shape::map:
      append_type(element, *type.element);
      append_field(out, kType, wrap(kOnly, "object"));
      return append_field(out, kAdditional, wrap(kOnly, element));
  }
}

// properties: those that stand before the rows of the table.
std::string Definitions::make_object(const TypeSchema& schema, std::string_view properties) {
  std::string listed(properties);
  std::string out;
  for (const auto& field : schema.fields) {
    if ((field.flags & kUnset) != 0) continue;  // Kubernetes has it, moored refuses it
    std::string property;
    if (!field.doc.empty()) append_field(property, kDescription, field.doc);
    append_type(property, *field.type);
    append_field(listed, kOnly, make_named(field.name, property));
    if ((field.flags & kRequired) != 0) append_field(out, kRequiredName, field.name);
  }
  append_field(out, kType, wrap(kOnly, "object"));
  append_field(out, kProperties, listed);
  return out;
}

void Definitions::add(const TypeSchema& schema) {
  const auto name = name_of(schema);
  if (schemas_.count(name) != 0) return;
  schemas_[name] = {};  // taken, so that a type that holds itself ends here
  auto message = make_object(schema, {});
  schemas_[name] = std::move(message);
}

// Clients find the schema of a kind by its mark.
void Definitions::add_kind(const Resource& resource) {
  const auto& schema = resource.stored->schema();
  std::string heads;
  for (const auto& [name, doc] : {std::pair("apiVersion", "The version of the object's schema."),
                                  std::pair("kind", "The kind of the object.")}) {
    std::string property;
    append_field(property, kDescription, doc);
    append_scalar(property, "string");
    append_field(heads, kOnly, make_named(name, property));
  }
  std::string out;
  append_field(out, kDescription, std::string(resource.kind) + " as moored carries it out.");
  out += make_object(schema, heads);
  const auto mark = "[{\"group\":" + quoted(resource.group) +
                    ",\"version\":" + quoted(resource.version) +
                    ",\"kind\":" + quoted(resource.kind) + "}]";
  append_field(out, kExtension, make_named("x-kubernetes-group-version-kind", wrap(kYaml, mark)));
  schemas_[name_of(schema)] = std::move(out);
}

std::string Definitions::message() const {
  std::string out;
  for (const auto& [name, schema] : schemas_)
    append_field(out, kOnly, make_named(name, schema));
  return out;
}

std::string make_document() {
  Definitions definitions;
  for (const auto& row : all_resources()) {
    const bool own = row.listed && row.stored != nullptr && row.rewrite == Rewrite::none;
    if (own) definitions.add_kind(row);
  }
  std::string info;
  append_field(info, kTitle, "moored");
  append_field(info, kVersion, "v" MOORED_VERSION);
  std::string out;
  append_field(out, kSwagger, "2.0");
  append_field(out, kInfo, info);
  append_field(out, kPaths, "");
  append_field(out, kDefinitions, definitions.message());
  return out;
}

}  // namespace

// Made on first use: it depends on nothing but the program.
Response openapi_v2_document() {
  static const Body body = std::make_shared<const std::string>(make_document());
  Response response;
  response.content_type = kOpenapiV2ReplyType;
  response.body = body;
  return response;
}

}  // namespace moored::net::api
