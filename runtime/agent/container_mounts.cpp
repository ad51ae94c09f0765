#include "runtime/agent/container_mounts.hpp"

#include <algorithm>

#include "runtime/agent/environment.hpp"
#include "runtime/agent/volume_files.hpp"
#include "schema/host/file.hpp"

namespace moored::agent {
namespace {

// The declared volume of a name, or nullptr.
const Volume* find_volume(const Pod& pod, const std::string& name) {
  for (const auto& volume : pod.spec.volumes) {
    if (volume.name == name) return &volume;
  }
  return nullptr;
}

// The manifest asks for what cannot be: waits until somebody changes it.
Unexpected refuse(const std::string& why) {
  return Unexpected(fail(Code::invalid, why).take().because("CreateContainerConfigError"));
}

// Joins ends without a doubled or trailing slash.
std::string clean_destination(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// One volumeMount. A subPath is checked here and resolved again, by descriptor, at the mount.
Result<Mount> make_mount(const VolumeMount& declared, const Volume& volume,
                         const std::string& place,
                         const std::map<std::string, std::string>& environment) {
  Mount mount;
  mount.source = place;
  mount.destination = clean_destination(declared.mount_path);
  // What moored writes itself is never written by a container.
  mount.read_only = declared.read_only || is_written_volume(volume);
  mount.sub_path = declared.sub_path;
  if (!declared.sub_path_expr.empty()) {
    mount.sub_path = expand(declared.sub_path_expr, environment);
    if (mount.sub_path.find("$(") != std::string::npos) {
      return refuse("failed to prepare subPath for volumeMount \"" + declared.name +
                    "\": missing value for " + declared.sub_path_expr);
    }
  }
  if (mount.sub_path.empty()) return mount;
  if (is_written_volume(volume)) {
    // Its entries are links that only moored makes: nothing is to be created.
    if (!path_exists(place + "/" + mount.sub_path)) {
      return refuse("failed to prepare subPath for volumeMount \"" + declared.name + "\": " +
                    mount.sub_path + " does not exist");
    }
    return mount;
  }
  MOORED_CHECK(make_sub_path(place, mount.sub_path));
  return mount;
}

}  // namespace

Result<std::vector<Mount>> make_mounts(const Pod& pod, const Container& container,
                                       const VolumePlaces& places, const std::string& etc_directory,
                                       const std::map<std::string, std::string>& environment) {
  std::vector<Mount> mounts;
  for (const auto& declared : container.volume_mounts) {
    const Volume* volume = find_volume(pod, declared.name);
    const auto place = places.find(declared.name);
    if (volume == nullptr || place == places.end()) {
      return refuse("volumeMount names unknown volume \"" + declared.name + "\"");
    }
    MOORED_TRY(auto mount, make_mount(declared, *volume, place->second, environment));
    mounts.push_back(std::move(mount));
  }
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    const std::string destination = std::string("/etc/") + name;
    const auto same = [&](const Mount& mount) { return mount.destination == destination; };
    if (std::any_of(mounts.begin(), mounts.end(), same)) continue;
    Mount mount;
    mount.source = etc_directory + "/" + name;
    mount.destination = destination;
    mount.read_only = container.security_context &&
                      container.security_context->read_only_root_filesystem.value_or(false);
    mounts.push_back(std::move(mount));
  }
  const auto depth = [](const Mount& mount) {
    return std::count(mount.destination.begin(), mount.destination.end(), '/');
  };
  std::stable_sort(mounts.begin(), mounts.end(),
                   [&](const Mount& a, const Mount& b) { return depth(a) < depth(b); });
  return mounts;
}

void add_image_volumes(const std::vector<std::string>& volumes, std::vector<Mount>& mounts) {
  for (auto path : volumes) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const auto same = [&](const Mount& mount) { return mount.destination == path; };
    if (std::any_of(mounts.begin(), mounts.end(), same)) continue;
    Mount mount;
    mount.destination = path;
    mounts.push_back(std::move(mount));
  }
}

}  // namespace moored::agent
