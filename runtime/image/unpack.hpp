// Unpacks one archive into a directory. Runs inside moored-unpack, never in the daemon.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/image/layer_stream.hpp"

namespace moored::image {

// Descriptors are borrowed.
struct UnpackRequest {
  int source = -1;          // the archive, read from its position to its end
  int target = -1;          // an empty directory
  std::vector<int> lowers;  // directories of the layers below, topmost first
  bool as_layer = true;     // false: a box of files, without owners and whiteouts
  LayerLimits limits;
};

struct UnpackReport {
  std::string digest;  // sha256: of the uncompressed archive, its trailing bytes included
  std::int64_t compressed_bytes = 0;
  std::int64_t uncompressed_bytes = 0;
  std::int64_t entries = 0;
  std::int64_t file_bytes = 0;
  std::vector<std::string> warnings;
};

// Errors: invalid (LayerEscape, ManifestInvalid), exhausted (LayerLimit or the disk), unavailable.
// What was written before an error stays for the caller to remove.
Result<UnpackReport> unpack(const UnpackRequest& request);

// The report and an error as one line of JSON, both ways: what the worker writes on its stdout.
std::string write_report(const Result<UnpackReport>& report);
Result<UnpackReport> read_report(std::string_view json);

}  // namespace moored::image
