// The half of the engine that reads: value trees into structs, by the schema tables.
#pragma once

#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/codec/value.hpp"
#include "schema/model/schema.hpp"

namespace moored::codec {

// How strict a reading is.
enum class Strictness {
  manifest,  // what people wrote: everything unknown is an error, server fields are dropped
  stored,    // what we wrote: server fields are read, unknown fields are an error
};

// Reads one struct. Errors and warnings carry place and field path; reading goes on after an
// error, so that one pass finds them all.
class Decoder {
 public:
  Decoder(std::string file, Strictness strictness, Diagnostics& diagnostics);

  void read_struct(const TypeSchema& schema, const Value& value, void* object,
                   const std::string& path);
  // Reads a whole document; apiVersion and kind belong to the envelope and are passed over.
  void read_document(const TypeSchema& schema, const Value& document, void* object);

 private:
  void read_member(const TypeSchema& schema, const Value& key, const Value& value, void* object,
                   const std::string& path);
  void read_value(const Type& type, const Field& field, const Value& value, void* target,
                  const std::string& path);
  void read_list(const Type& type, const Field& field, const Value& value, void* target,
                 const std::string& path);
  void read_map(const Type& type, const Field& field, const Value& value, void* target,
                const std::string& path);
  bool read_scalar(const Type& type, const Field& field, const Value& value, void* target,
                   const std::string& path);
  bool read_text(const Field& field, const Value& value, void* target, const std::string& path);
  bool read_integer(const Type& type, const Value& value, void* target, const std::string& path);
  bool read_time(const Value& value, void* target, const std::string& path);
  void wrong_type(const Value& value, std::string_view wanted, const std::string& path,
                  bool secret = false);
  void unknown_field(const TypeSchema& schema, const Value& key, const std::string& path);
  void refuse(std::string_view reason, std::string message, Mark mark, const std::string& path,
              std::string fix = {});

  std::string file_;
  Strictness strictness_;
  Diagnostics& diagnostics_;
};

// Fills in the defaults of the rows, depth first, then runs the complete hooks.
void apply_defaults(const TypeSchema& schema, void* object);
// Runs required, row and struct checks over a filled-in object. The tree gives the places.
void run_checks(const TypeSchema& schema, const void* object, const Value& document,
                const std::string& file, Diagnostics& diagnostics);
// True when a value is what a missing one would be (empty, zero, absent).
bool is_absent(const Type& type, const void* value);
// The position of a field path in a document, or that of its nearest written parent. of_key: of the
// last key, which is itself what is wrong.
Mark find_mark(const Value& document, std::string_view path, bool of_key = false);

}  // namespace moored::codec
