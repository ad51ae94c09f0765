// Finds the images in what a person hands in, and puts their blobs into the store.
#pragma once

#include <string>
#include <vector>

#include "runtime/image/blob_store.hpp"
#include "runtime/image/documents.hpp"
#include "runtime/image/unpack_worker.hpp"

namespace moored::image {

// One image whose blobs are all in the store.
struct FoundImage {
  std::vector<std::string> names;  // as the archive says them; may be empty or only a tag
  std::string manifest_digest;
};

// Takes over the wanted images of a source: with a name only the one that it means.
// path: a file or directory; scratch: an absent directory for archives to be unpacked in.
// Errors: those of ContentStore::import.
Result<std::vector<FoundImage>> take_in(const std::string& path, const std::string& scratch,
                                        const std::string& name, const BlobStore& store,
                                        Unpacker& unpacker, const LayerLimits& limits);

// The image of a plain root directory: one layer with everything in it, and the process that a
// description beside it (<directory>.yaml, .yml or .json) says; /bin/sh without one.
Result<FoundImage> take_in_root(const std::string& path, const BlobStore& store);
// Reads such a description. Errors: invalid (ConfigInvalid, with file, line and column).
Result<ImageReport> parse_description(std::string_view text, const std::string& file);

}  // namespace moored::image
