// Gives images up when the disk gets full.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "runtime/image/content_store.hpp"
#include "runtime/image/registry_settings.hpp"
#include "schema/base/time.hpp"

namespace moored {
class StateSource;
}

namespace moored::image {

// A file system, in bytes.
struct DiskSpace {
  std::int64_t total = 0;
  std::int64_t available = 0;
};
// Of the file system that holds a directory. Errors: those of statvfs.
Result<DiskSpace> read_disk_space(const std::string& directory);

// What is to be freed: nothing below the high mark, else down to the low one. Pure.
std::int64_t plan_room(const DiskSpace& space, const GarbageSettings& settings);
// Every image that a recorded pod names, or that a container of one runs from. Pure.
std::vector<std::string> list_images_in_use(const StateSource& state);

// Looks at the disk every five minutes and whenever it is woken. Source: Kubernetes, "Garbage
// collection of unused containers and images".
class ImageKeeper {
 public:
  using Disk = std::function<Result<DiskSpace>()>;

  // Borrows all but the settings.
  ImageKeeper(GarbageSettings settings, ContentStore& store, const StateSource& state,
              const Clock& clock, Disk disk);
  ~ImageKeeper();
  ImageKeeper(const ImageKeeper&) = delete;
  ImageKeeper& operator=(const ImageKeeper&) = delete;

  // One look, on the caller's thread. Errors: those of the disk and of ContentStore::make_room.
  Result<ContentStore::Room> look();
  // Looks until it is to stop; failures go to the log.
  void run(std::stop_token stop);
  // Makes run() look soon: something came to the disk. Any thread.
  void wake();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace moored::image
