// The files of configMap, secret, downwardAPI and projected volumes. Pure.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/pod.hpp"

namespace moored {
class StateView;
struct Kind;
}

namespace moored::agent {

struct FieldContext;

// One file of a volume; path is relative and clean.
struct VolumeFile {
  std::string path;
  std::string content;
  unsigned mode = 0644;
  bool operator==(const VolumeFile&) const = default;
};

// True for the kinds whose content moored writes and keeps up to date.
bool is_written_volume(const Volume& volume);
// True when the content must stay in memory: secrets, and projections that may hold one.
bool is_secret_volume(const Volume& volume);
// True when the volume takes something from this ConfigMap or Secret.
bool refers_to(const Volume& volume, const Kind& kind, const std::string& name);

// Makes the files, sorted by path; a later source of a projection wins.
// Errors: not_found with reason FailedMount (object or key is missing and not optional),
// invalid with reason FailedMount (a path that leaves the volume, an unknown field).
Result<std::vector<VolumeFile>> make_volume_files(const FieldContext& context, const Volume& volume,
                                                  const StateView& view);

// True for a relative path without "..", empty parts, or a part that starts with "..".
bool is_clean_volume_path(const std::string& path);

}  // namespace moored::agent
