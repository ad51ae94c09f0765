// The worker's side: takes requests off its socket and answers them until the daemon goes away.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gitsync/follow/messages.hpp"
#include "gitsync/load/unit_loader.hpp"
#include "schema/host/frame_channel.hpp"

namespace moored::git {

// Serves one source: one mirror and the units read from it, or without a mirror's directory one
// place on this machine. One thread; no state survives it but the mirror's directory.
class WorkerService {
 public:
  WorkerService(FrameChannel channel, std::string mirror_directory)
      : channel_(std::move(channel)), mirror_directory_(std::move(mirror_directory)) {}

  // Serves until the socket closes. Errors: corrupt, when the other side is no daemon of ours.
  Status run();

 private:
  struct Unit {
    UnitLoader tree;
    ManifestLoader directory;
    std::vector<LoadedFilePtr> sent;  // the last complete load
  };

  Status answer(const FetchRequest& request);
  Status answer(const LoadTreeRequest& request);
  Result<LoadedSet> load(const LoadTreeRequest& request, Unit& unit);
  Result<LoadedSet> load_commit(Mirror& mirror, const LoadTreeRequest& request, Unit& unit);
  Status send_files(const LoadedSet& set, bool fresh, Unit& unit);
  Status send_file(const LoadedFile& file);
  Status send_error(Error error, std::optional<std::chrono::seconds> wait = {});
  Result<Mirror*> open_mirror(const RepositoryRef& repository);
  void report_progress();

  FrameChannel channel_;
  std::string mirror_directory_;
  std::unique_ptr<Mirror> mirror_;
  std::string mirror_url_;
  std::map<UnitKey, Unit> units_;  // at most kMaxUnits
  SystemClock clock_;
  MonoTime last_progress_{};
  bool loaded_ = false;
};

}  // namespace moored::git
