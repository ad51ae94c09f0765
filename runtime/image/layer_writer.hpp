// Puts the entries of an archive into a directory, by descriptors and never through a link.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/image/layer_stream.hpp"
#include "runtime/image/merged_tree.hpp"

namespace moored::image {

// One entry as the archive describes it: untrusted.
struct LayerEntry {
  enum class Type { file, directory, symlink, hardlink, fifo, device } type = Type::file;
  std::string name;
  std::string target;  // of links
  mode_t mode = 0644;  // permission bits, set-id bits included
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::int64_t mtime_seconds = 0;
  std::int64_t size_bytes = 0;
  std::vector<std::pair<std::string, std::string>> attributes;  // extended
};

// A piece of a file's content; empty bytes at the end. Gaps between pieces read as zeros.
struct ContentPiece {
  std::int64_t offset = 0;
  std::string_view bytes;
};
using ContentReader = std::function<Result<ContentPiece>()>;

// What the writer did, to be kept with the layer.
struct LayerTally {
  std::int64_t entries = 0;
  std::int64_t bytes = 0;
  std::vector<std::string> warnings;  // at most kMaxWarnings
};

// Rules of the OCI image specification, and stricter (docs/images.md). Not thread safe.
class LayerWriter {
 public:
  static constexpr std::size_t kMaxWarnings = 20;

  // as_layer: names beginning with .wh. are whiteouts and owners are kept. Otherwise the archive
  // is only a box of files: owners, set-id bits and extended attributes fall away.
  LayerWriter(MergedTree& tree, const LayerLimits& limits, bool as_layer);

  // Errors: invalid (LayerEscape, ManifestInvalid), exhausted (LayerLimit), and of the disk.
  Status add(const LayerEntry& entry, const ContentReader& content);
  // Directory times, once everything is in place.
  Status finish();
  const LayerTally& tally() const { return tally_; }

 private:
  struct Spot {
    int directory;     // borrowed from the tree until its next call
    std::string name;  // one part
    Path path;
  };
  Result<Spot> find_spot(const Path& path);
  Status add_whiteout(const Path& path);
  Status add_directory(const LayerEntry& entry, const Path& path);
  Status add_file(const LayerEntry& entry, const Spot& spot, const ContentReader& content);
  Status add_hard_link(const LayerEntry& entry, const Path& path);
  Status add_special(const LayerEntry& entry, const Spot& spot);
  Status copy_up(const Path& path);
  Status clear(Spot& spot);
  Status set_attributes(const LayerEntry& entry, int fd);
  Status count(std::int64_t bytes);
  void warn(const std::string& text);

  MergedTree& tree_;
  LayerLimits limits_;
  bool as_layer_;
  LayerTally tally_;
  std::map<Path, std::int64_t> directory_times_;
};

}  // namespace moored::image
