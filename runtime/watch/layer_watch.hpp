// Layers of images that were changed by hand: every container that stands on one sees it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "runtime/watch/root_files.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/fact.hpp"

namespace moored::watch {

struct LayerWatchOptions {
  std::string run_dir;    // whose pods say which layers are used
  std::string node_name;  // drift of a layer is the node's: many pods share it
};

// How often: at first when a start has settled, then as rarely that the looks take at most a
// thousandth of a core, whatever the layers hold.
inline constexpr std::chrono::seconds kFirstLayerLook{20};
inline constexpr std::chrono::minutes kLayerPause{10};
inline constexpr int kLayerShare = 1000;

// Directories that the containers of all pods stand on, without links: PATH/diff of layers.
std::set<std::string> read_layers_in_use(const std::string& run_dir);
// When a layer (PATH/diff) was complete, in microseconds since 1970: nothing wrote to it later.
// Errors: not_found (it is no layer, or it is being removed).
Result<std::int64_t> read_unpack_time(const std::string& layer);
// What of a layer changed after that; at most limit files. Nothing is opened but directories.
std::vector<ChangedFile> find_changed_layer_files(const std::string& layer,
                                                  std::int64_t unpacked_micros, std::size_t limit);

// Looks at the layers in use by the times at which the kernel saw their files change last. One
// record for each changed layer. It cannot be put right while containers run from it, so it stays
// open until the layer is gone. One thread at a time; the ports outlive it.
class LayerWatch {
 public:
  // open: the records of layers that an earlier daemon left open; others are left out.
  LayerWatch(LayerWatchOptions options, FactSink& facts, const Clock& clock,
             const std::vector<DriftRecord>& recorded);

  // Posts what is new and what is over. Ends early when it is to stop.
  void look(const std::stop_token& stop = {});
  // Looks again and again until it is to stop.
  void run(std::stop_token stop);

 private:
  void open_record(const std::string& layer, std::int64_t unpacked_micros);
  void close_gone();
  void post(const DriftRecord& record);

  LayerWatchOptions options_;
  FactSink& facts_;
  const Clock& clock_;
  std::map<std::string, DriftRecord> open_;  // by id
};

}  // namespace moored::watch
