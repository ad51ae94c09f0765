// JSON as it comes from a repository, a registry or a peer.
#include <string>

#include "gitsync/load/parse.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace moored;
  const auto text = fuzz::text_of(bytes, size);
  if (const auto value = read_json(text, "fuzz.json")) {
    const auto compact = write_json(*value);
    for (const auto& written : {compact, write_json_pretty(*value)}) {
      const auto again = read_json(written);
      fuzz::check(again && write_json(*again) == compact, "JSON reads as what was written");
    }
  }
  const auto parsed = git::parse_manifests(text, "fuzz.json", "target");
  for (const auto& object : parsed.objects) {
    const auto json = encode_json(object);
    const auto stored = decode_stored_json(object.kind(), json);
    fuzz::check(stored && encode_json(*stored) == json, "an object is stored as it is");
  }
  return 0;
}
