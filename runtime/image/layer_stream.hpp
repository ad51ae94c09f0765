// The bytes of a layer: decompressed, counted and hashed on the way, whatever reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "schema/base/result.hpp"

namespace moored::image {

// What one layer may cost. Exceeding one is exhausted (LayerLimit), while it is being read.
struct LayerLimits {
  std::int64_t bytes = std::int64_t{8} << 30U;  // uncompressed, and sum of file sizes
  std::int64_t entries = 1'000'000;
  std::int64_t ratio = 200;                                 // uncompressed to compressed,
  std::int64_t ratio_free_bytes = std::int64_t{64} << 20U;  // past the first of these
};

// Reads plain tar, gzip (any number of members) or zstd (any number of frames), told by magic.
// One stream serves one thread.
class LayerStream {
 public:
  // fd is borrowed; read from its position to its end.
  LayerStream(int fd, const LayerLimits& limits);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  // The next uncompressed bytes, valid until the next call; empty at the end.
  // Errors: invalid (ManifestInvalid: not a compressed stream), exhausted (LayerLimit),
  // unavailable.
  Result<std::string_view> read();
  // Reads what is left, which belongs to the digest too.
  Status drain();
  // sha256: of everything that was read, uncompressed. Once, at the end.
  std::string finish_digest();
  std::int64_t compressed_bytes() const;
  std::int64_t uncompressed_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moored::image
