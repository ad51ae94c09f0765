#include "runtime/agent/nested_mounts.hpp"

#include <algorithm>

namespace moored::agent {
namespace {

// The path with one slash between its parts and one at its end.
std::string clean(const std::string& path) {
  std::string out;
  std::size_t start = 0;
  while (start < path.size()) {
    const auto end = std::min(path.find('/', start), path.size());
    const auto part = path.substr(start, end - start);
    if (!part.empty() && part != ".") out += '/' + part;
    start = end + 1;
  }
  return out + '/';
}

bool is_below(const std::string& path, const std::string& top) {
  return path.size() > top.size() && path.compare(0, top.size(), top) == 0;
}

void find_in(const Container& container, const std::string& volume,
             std::vector<NestedMount>& found) {
  for (const auto& outer : container.volume_mounts) {
    if (outer.name != volume || !outer.sub_path.empty() || !outer.sub_path_expr.empty()) continue;
    const auto top = clean(outer.mount_path);
    for (const auto& inner : container.volume_mounts) {
      const auto path = clean(inner.mount_path);
      const bool between = std::any_of(
          container.volume_mounts.begin(), container.volume_mounts.end(), [&](const auto& other) {
            const auto middle = clean(other.mount_path);
            return is_below(middle, top) && is_below(path, middle);
          });
      if (!is_below(path, top) || between) continue;
      found.push_back({path.substr(top.size(), path.size() - top.size() - 1), &inner});
    }
  }
}

}  // namespace

std::vector<NestedMount> find_nested_mounts(const Pod& pod, const std::string& volume) {
  std::vector<NestedMount> found;
  for (const auto& container : pod.spec.init_containers) find_in(container, volume, found);
  for (const auto& container : pod.spec.containers) find_in(container, volume, found);
  return found;
}

}  // namespace moored::agent
