#include "runtime/image/image_keeper.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "schema/base/log.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::image {
namespace {

constexpr std::chrono::minutes kInterval{5};

void add_images(const Pod& pod, std::set<std::string>& found) {
  for (const auto* list : {&pod.spec.init_containers, &pod.spec.containers}) {
    for (const auto& container : *list) found.insert(container.image);
  }
  for (const auto* list : {&pod.status.init_container_statuses, &pod.status.container_statuses}) {
    for (const auto& status : *list) {
      // By digest: the name may mean another image by now.
      const auto at = status.image_id.find('@');
      if (at != std::string::npos) found.insert(status.image_id.substr(at + 1));
    }
  }
}

}  // namespace

Result<DiskSpace> read_disk_space(const std::string& directory) {
  struct statvfs space {};
  if (statvfs(directory.c_str(), &space) < 0) {
    return Unexpected(system_error("look at the disk of " + directory, errno));
  }
  const auto block = static_cast<std::int64_t>(space.f_frsize);
  return DiskSpace{block * static_cast<std::int64_t>(space.f_blocks),
                   block * static_cast<std::int64_t>(space.f_bavail)};
}

std::int64_t plan_room(const DiskSpace& space, const GarbageSettings& settings) {
  const auto used = space.total - space.available;
  if (space.total <= 0 || used < space.total / 100 * settings.high_percent) return 0;
  return std::max<std::int64_t>(used - space.total / 100 * settings.low_percent, 1);
}

std::vector<std::string> list_images_in_use(const StateSource& state) {
  std::set<std::string> found;
  const auto view = state.view();
  for (const auto& object : view->list(kind_of<Pod>())) add_images(object.as<Pod>(), found);
  return {found.begin(), found.end()};
}

class ImageKeeper::State {
 public:
  State(GarbageSettings given, ContentStore& images, const StateSource& recorded,
        const Clock& time, Disk read_disk)
      : settings(given),
        store(images),
        source(recorded),
        clock(time),
        disk(std::move(read_disk)) {}

  GarbageSettings settings;
  ContentStore& store;
  const StateSource& source;
  const Clock& clock;
  Disk disk;
  std::mutex mutex;
  std::condition_variable_any changed;
  bool woken = false;
};

ImageKeeper::ImageKeeper(GarbageSettings settings, ContentStore& store, const StateSource& state,
                         const Clock& clock, Disk disk)
    : state_(std::make_unique<State>(settings, store, state, clock, std::move(disk))) {}

ImageKeeper::~ImageKeeper() = default;

Result<ContentStore::Room> ImageKeeper::look() {
  auto& s = *state_;
  MOORED_TRY(const auto space, s.disk());
  ContentStore::RoomRequest request;
  request.bytes = plan_room(space, s.settings);
  if (request.bytes == 0) return ContentStore::Room{};
  // The time goes first: an image that is used from here on is too young to be given up.
  request.unused_since = s.clock.now().wall - std::chrono::seconds(s.settings.minimum_age_seconds);
  request.in_use = list_images_in_use(s.source);
  MOORED_TRY(auto room, s.store.make_room(request));
  for (const auto& name : room.given_up) {
    log(LogLevel::info, "an unused image was given up for room", {{"image", name}});
  }
  if (room.bytes < request.bytes) {
    log(LogLevel::warning, "the disk is full, and no unused image is left to give up",
        {{"wanted", std::to_string(request.bytes)}, {"freed", std::to_string(room.bytes)}});
  }
  return room;
}

void ImageKeeper::run(std::stop_token stop) {
  auto& s = *state_;
  while (!stop.stop_requested()) {
    const auto looked = look();
    if (!looked) log(LogLevel::warning, "no room was made: " + looked.error().text());
    std::unique_lock lock(s.mutex);
    s.changed.wait_for(lock, stop, kInterval, [&] { return s.woken; });
    s.woken = false;
  }
}

void ImageKeeper::wake() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->woken = true;
  }
  state_->changed.notify_all();
}

}  // namespace moored::image
