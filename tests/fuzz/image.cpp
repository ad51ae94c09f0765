// The documents of an image: index, manifest, configuration, and the list of a saved tar.
#include <string>

#include "runtime/image/documents.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace moored::image {
namespace {

void judge(const Descriptor& descriptor) {
  fuzz::check(descriptor.size_bytes >= 0, "a size is not negative");
  fuzz::check(descriptor.digest.size() == 71 && descriptor.digest.compare(0, 7, "sha256:") == 0 &&
                  descriptor.digest.find('/') == std::string::npos,
              "a digest names a file");
}

}  // namespace
}  // namespace moored::image

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace moored;
  using namespace moored::image;
  const auto text = fuzz::text_of(bytes, size);
  if (const auto document = parse_document(text)) {
    fuzz::check(document->layers.size() <= kMaxLayers, "layers are few");
    fuzz::check(document->is_index == document->layers.empty() || !document->is_index,
                "an index has no layers");
    for (const auto& row : document->layers) judge(row);
    for (const auto& row : document->manifests) judge(row);
    if (!document->is_index) judge(document->configuration);
    (void)choose_platform(document->manifests);
  }
  (void)parse_saved_images(text);
  if (const auto configuration = parse_configuration(text)) {
    fuzz::check(configuration->diff_ids.size() <= kMaxLayers, "layers are few");
  }
  return 0;
}
