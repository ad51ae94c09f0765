#include "runtime/watch/layer_watch.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "runtime/shim/order.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/model/cluster.hpp"

namespace moored::watch {
namespace {

constexpr std::string_view kFieldStart = "layer:";
constexpr std::string_view kIdStart = "layer/";
constexpr std::size_t kMaxSpec = 1U << 20U;
// As many as a layer may hold; looked at without keeping any.
constexpr std::size_t kMaxLayerEntries = 1'000'000;
// Files that a record names, and those that are counted.
constexpr std::size_t kNamed = 3;
constexpr std::size_t kCounted = 100;
// More layers than this many images of 127 layers have are not looked at in one go.
constexpr std::size_t kMaxLayers = 10'000;

std::vector<std::string> names_in(const std::string& directory) {
  return list_directory(directory).value_or(std::vector<std::string>{});
}

// PATH of PATH/diff, where the layer's record lies too.
std::string home_of(const std::string& layer) {
  return layer.substr(0, layer.rfind('/'));
}

void add_layers(const std::string& spec_file, std::set<std::string>& layers) {
  const auto text = read_file(spec_file, kMaxSpec);
  if (!text) return;  // being made, or gone meanwhile
  const auto order = shim::container_order_from(*text);
  if (!order) return;
  for (const auto& step : order->steps) {
    if (step.type != shim::StepType::overlay_root) continue;
    for (const auto& lower : step.list) {
      std::error_code gone;
      const auto path = std::filesystem::canonical(lower, gone).string();
      if (!gone && layers.size() < kMaxLayers) layers.insert(path);
    }
  }
}

std::string describe(const std::vector<ChangedFile>& files) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, files.size()); ++i) {
    text += (i > 0 ? "; " : "") + files[i].path + ": " + files[i].what;
  }
  if (files.size() <= kNamed) return escape_text(text);
  const std::string least = files.size() == kCounted ? "at least " : "";
  return escape_text(text) + "; and " + least + std::to_string(files.size() - kNamed) + " more";
}

}  // namespace

std::set<std::string> read_layers_in_use(const std::string& run_dir) {
  std::set<std::string> layers;
  for (const auto& pod : names_in(run_dir + "/pods")) {
    const auto containers = run_dir + "/pods/" + pod + "/c";
    for (const auto& name : names_in(containers)) {
      for (const auto& attempt : names_in(containers + "/" + name)) {
        add_layers(containers + "/" + name + "/" + attempt + "/spec.json", layers);
      }
    }
  }
  return layers;
}

// The record beside a layer is the last that is written when it is unpacked.
Result<std::int64_t> read_unpack_time(const std::string& layer) {
  const auto mark = read_mark(home_of(layer) + "/meta.json");
  if (mark.size < 0) return fail(Code::not_found, layer + " is no layer");
  return mark.modified_micros;
}

std::vector<ChangedFile> find_changed_layer_files(const std::string& layer,
                                                  std::int64_t unpacked_micros, std::size_t limit) {
  auto files = find_changed_files(layer, unpacked_micros, limit, kMaxLayerEntries);
  if (!files.empty()) return files;
  // A file that is gone shows in its directory alone.
  const auto top = read_change_time(layer);
  if (top && *top > unpacked_micros) files.push_back({"/", "a directory, changed"});
  return files;
}

LayerWatch::LayerWatch(LayerWatchOptions options, FactSink& facts, const Clock& clock,
                       const std::vector<DriftRecord>& recorded)
    : options_(std::move(options)), facts_(facts), clock_(clock) {
  for (const auto& record : recorded) {
    if (record.id.rfind(kIdStart, 0) == 0 && !record.corrected_at) open_[record.id] = record;
  }
}

void LayerWatch::look(const std::stop_token& stop) {
  close_gone();
  for (const auto& layer : read_layers_in_use(options_.run_dir)) {
    if (stop.stop_requested()) return;
    const auto unpacked = read_unpack_time(layer);
    if (unpacked) open_record(layer, *unpacked);
  }
}

// The same layer, unpacked once more, is another one.
void LayerWatch::open_record(const std::string& layer, std::int64_t unpacked_micros) {
  const auto id = std::string(kIdStart) + home_of(layer) + "@" + std::to_string(unpacked_micros);
  if (open_.count(id) != 0) return;
  const auto files = find_changed_layer_files(layer, unpacked_micros, kCounted);
  // It may have been removed while it was looked at.
  const auto still = read_unpack_time(layer);
  if (files.empty() || !still || *still != unpacked_micros) return;
  DriftRecord record;
  record.id = id;
  record.object = key_of<Node>({}, options_.node_name);
  record.field =
      std::string(kFieldStart) + std::filesystem::path(home_of(layer)).filename().string();
  record.desired = "as it was unpacked; remove the images on it and take them in again";
  record.observed = describe(files);
  record.onset = clock_.now().wall;
  post(record);
  open_[id] = std::move(record);
}

void LayerWatch::close_gone() {
  for (auto it = open_.begin(); it != open_.end();) {
    auto& [id, record] = *it;
    const auto at = id.rfind('@');
    const auto home = id.substr(kIdStart.size(), at - kIdStart.size());
    const auto unpacked = read_unpack_time(home + "/diff");
    if (unpacked && std::to_string(*unpacked) == id.substr(at + 1)) {
      ++it;
      continue;
    }
    record.correction = "none: the layer was removed";
    record.corrected_at = clock_.now().wall;
    post(record);
    it = open_.erase(it);
  }
}

void LayerWatch::post(const DriftRecord& record) {
  facts_.post(DriftObserved{record}, {Cause::Actor::kernel, "moored", "drift of " + record.field});
  log(LogLevel::warning, record.corrected_at ? "drift is over" : "drift seen",
      {{"object", record.object.text()},
       {"field", record.field},
       {"observed", record.observed},
       {"correction", record.correction}});
}

void LayerWatch::run(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  Duration pause = kFirstLayerLook;
  for (;;) {
    stopped.wait_for(lock, stop, pause, [] { return false; });
    if (stop.stop_requested()) return;
    const auto began = clock_.now().mono;
    look(stop);
    pause = std::max<Duration>(kLayerPause, (clock_.now().mono - began) * kLayerShare);
  }
}

}  // namespace moored::watch
