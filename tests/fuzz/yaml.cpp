// YAML as it comes from a repository: text, value trees, objects, and back again.
#include <string>

#include "gitsync/load/parse.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace moored {
namespace {

// What we write must be read as what it was.
void write_and_read(const Value& value) {
  const auto json = write_json(value);
  const auto from_json = read_json(json);
  fuzz::check(from_json && write_json(*from_json) == json, "JSON reads as what was written");
  Diagnostics diagnostics;
  const auto documents = read_yaml(write_yaml(value), "written.yaml", diagnostics);
  if (value.type == Value::Type::null) return;  // an empty document
  fuzz::check(diagnostics.ok() && documents.size() == 1 && write_json(documents[0]) == json,
              "YAML reads as what was written");
}

void store_and_load(const Object& object) {
  const auto json = encode_json(object);
  const auto stored = decode_stored_json(object.kind(), json);
  fuzz::check(stored && encode_json(*stored) == json, "an object is stored as it is");
}

}  // namespace
}  // namespace moored

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace moored;
  const auto text = fuzz::text_of(bytes, size);
  Diagnostics diagnostics;
  for (const auto& document : read_yaml(text, "fuzz.yaml", diagnostics)) write_and_read(document);
  const auto parsed = git::parse_manifests(text, "fuzz.yaml", {});
  for (const auto& object : parsed.objects) store_and_load(object);
  for (const auto& error : parsed.diagnostics.errors()) {
    fuzz::check(!error.reason.empty() && !error.message.empty(), "an error has reason and words");
  }
  return 0;
}
