// Writes tar archives: for images made of a plain directory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/image/layer_writer.hpp"
#include "schema/base/result.hpp"

namespace moored::image {

// The POSIX pax format; extended headers only where the plain one has no room, so that the same
// entries always give the same bytes. Whatever an entry says is written, sensible or not.
class TarWriter {
 public:
  using Sink = std::function<Status(std::string_view)>;
  explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

  // Starts an entry; size_bytes of content must follow for a file.
  Status add(const LayerEntry& entry);
  // Content of the file that was added last, in any number of pieces.
  Status put(std::string_view bytes);
  // Fills the last block of a file's content. To be called after the last piece.
  Status end_file();
  // The two empty blocks at the end.
  Status finish();

 private:
  Status put_header(const LayerEntry& entry, char type);

  Sink sink_;
  std::int64_t in_file_ = 0;
};

}  // namespace moored::image
