// Volumes of pods on disk: made before the first container, kept current, removed with the pod.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/model/pod.hpp"

namespace moored {
class StateView;
}

namespace moored::agent {

struct FieldContext;

// The most that the files of a pod which moored makes may hold on disk together.
constexpr std::int64_t kMaxOwnBytes = 10 << 20;

// Host directory or file of each volume of a pod, by volume name.
using VolumePlaces = std::map<std::string, std::string>;

// Layout: <state>/pods/<uid>/volumes/<name> for emptyDir, configMap and downwardAPI;
// <run>/volumes/<uid>/<name> (memory) for secret and projected. Thread safe for different pods.
class VolumeStore {
 public:
  VolumeStore(std::string state_dir, std::string run_dir);

  // Makes every volume of the pod. May be repeated: existing content of an emptyDir stays.
  // Errors: reason FailedMount, with the sentence of the event.
  Result<VolumePlaces> prepare(const FieldContext& context, const StateView& view, Time now) const;
  // Writes changed ConfigMaps, Secrets and fields into the volumes of a running pod. An object
  // that is gone leaves the old files. True when any file changed.
  Result<bool> refresh(const FieldContext& context, const StateView& view, Time now) const;
  // The first emptyDir on disk that holds more than its sizeLimit, or kMaxOwnBytes in the files
  // that every pod has (its /etc and its last words, which containers may write to), as the words
  // of an eviction. Walks the directories. Nothing: all are within their limits.
  std::optional<std::string> find_exceeded(const Pod& pod) const;
  // Where the volumes of a pod are; touches nothing.
  VolumePlaces get_places(const Pod& pod) const;
  // The pod's own directory, for its /etc files.
  std::string get_pod_directory(const std::string& uid) const;
  // Makes the empty file that one attempt may leave its last words in, writable for everybody, and
  // removes that of the attempt before the last. Gives its path.
  Result<std::string> make_message_file(const std::string& uid, const std::string& container,
                                        int attempt) const;
  // Unmounts and removes everything of a pod; a missing one is success.
  Status remove(const std::string& uid) const;

 private:
  std::string get_place(const Pod& pod, const Volume& volume) const;
  Status make_empty_dir(const Pod& pod, const Volume& volume, const std::string& place) const;
  bool mounts_file(const Pod& pod, const VolumeMount& mount) const;
  Status make_mount_points(const Pod& pod, const Volume& volume) const;

  std::string state_dir_;
  std::string run_dir_;
};

// Checks a hostPath against its type, making what DirectoryOrCreate and FileOrCreate ask for.
// Errors: reason FailedMount.
Status check_host_path(const std::string& volume, const HostPathVolume& host_path);

// Makes the missing directories of a subPath (0750, or another mode), never leaving the volume.
// Errors: reason CreateContainerConfigError (absolute, "..", a link that leads out).
Status make_sub_path(const std::string& volume_root, const std::string& sub_path,
                     unsigned mode = 0750);

// Gives a tree to a group: directories setgid and writable, files readable and writable.
Status give_to_group(const std::string& directory, std::uint32_t group);

}  // namespace moored::agent
