#include "gitsync/follow/mirror_space.hpp"

#include <algorithm>
#include <utility>

#include "gitsync/repo/disk_use.hpp"
#include "schema/host/file.hpp"

namespace moored::git {
namespace {

std::string in_mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

}  // namespace

// The list of names is read each time, so that a mirror that was removed gives its room back.
std::size_t MirrorSpace::room_for(const std::string& name) {
  const auto names = list_directory(root_);
  return sizes_.with([&](auto& sizes) {
    std::map<std::string, std::size_t> found;
    std::size_t others = 0;
    for (const auto& other : names.value_or({})) {
      const auto known = sizes.find(other);
      found[other] = known != sizes.end() ? known->second : measure_disk_use(root_ + '/' + other);
      if (other != name) others += found[other];
    }
    sizes = std::move(found);
    return std::min(limits_.one, limits_.all - std::min(limits_.all, others));
  });
}

void MirrorSpace::measure(const std::string& name) {
  const std::size_t size = measure_disk_use(root_ + '/' + name);
  sizes_.with([&](auto& sizes) { sizes[name] = size; });
}

Error MirrorSpace::explain(Error error, std::size_t room) const {
  if (error.reason != "DiskBudget") return error;
  if (room == limits_.one) {
    error.message += "; one source may take " + in_mebibytes(limits_.one);
    return error;
  }
  error.message += "; all sources together may take " + in_mebibytes(limits_.all);
  error.fix = "remove a source, or make their repositories smaller";
  return error;
}

}  // namespace moored::git
