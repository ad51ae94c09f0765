// Objects straight to JSON: the same text as by way of a value tree, without making one.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/host/sha256.hpp"

namespace moored {
namespace {

using codec::is_absent;

class JsonEncoder {
 public:
  std::string encode(const Object& object) {
    writer_.StartObject();
    put_key("apiVersion");
    put_text(object.kind().api_version());
    put_key("kind");
    put_text(object.kind().kind);
    write_members(object.kind().schema(), object.body());
    writer_.EndObject();
    return {buffer_.GetString(), buffer_.GetSize()};
  }

 private:
  void put_key(std::string_view name) {
    writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void put_text(std::string_view text) {
    writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }

  // What is left out is what encode_struct leaves out.
  void write_members(const TypeSchema& schema, const void* object) {
    for (const auto& field : schema.fields) {
      if ((field.flags & kUnset) != 0) continue;
      const void* member = field.member(const_cast<void*>(object));
      const bool absent = is_absent(*field.type, member);
      const bool empty_optional = field.type->shape == Shape::optional && absent;
      if (absent && ((field.flags & kKeepZero) == 0 || empty_optional)) continue;
      put_key(field.name);
      write(*field.type, field, member);
    }
  }

  void write(const Type& type, const Field& field, const void* value) {
    switch (type.shape) {
      case Shape::boolean: writer_.Bool(*static_cast<const bool*>(value)); return;
      case Shape::int32: writer_.Int(*static_cast<const std::int32_t*>(value)); return;
      case Shape::int64: writer_.Int64(*static_cast<const std::int64_t*>(value)); return;
      case Shape::text: {
        const auto& plain = *static_cast<const std::string*>(value);
        return (field.flags & kBase64) != 0 ? put_text(base64_encode(plain)) : put_text(plain);
      }
      case Shape::quantity: return put_text(static_cast<const Quantity*>(value)->text());
      case Shape::int_or_string: {
        const auto& both = *static_cast<const IntOrString*>(value);
        if (both.is_string) return put_text(both.text);
        writer_.Int(both.number);
        return;
      }
      case Shape::time: {
        const auto time = *static_cast<const Time*>(value);
        const bool micro = (field.flags & kMicroTime) != 0;
        return put_text(micro ? format_micro_time(time) : format_time(time));
      }
      case Shape::optional: return write(*type.element, field, type.ops.at(value, 0));
      default: return write_many(type, field, value);
    }
  }

  void write_many(const Type& type, const Field& field, const void* value) {
    if (type.shape == Shape::list) {
      writer_.StartArray();
      for (std::size_t i = 0; i < type.ops.size(value); ++i) {
        write(*type.element, field, type.ops.at(value, i));
      }
      writer_.EndArray();
      return;
    }
    writer_.StartObject();
    if (type.shape == Shape::object) {
      write_members(type.object(), value);
    } else {
      for (const auto& entry : type.ops.entries(value)) {
        put_key(*entry.key);
        write(*type.element, field, entry.value);
      }
    }
    writer_.EndObject();
  }

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace

std::string encode_json(const Object& object) { return JsonEncoder().encode(object); }

}  // namespace moored
