// Refuses what would have to be rendered.
#include "gitsync/render/plain.hpp"

#include <map>

namespace moored::git {

// Grouped by directory: two files are one mistake, not two.
void check_plain(const std::vector<std::string>& kustomizations, Diagnostics& diagnostics) {
  std::map<std::string, std::vector<std::string>> by_directory;
  for (const auto& path : kustomizations) {
    const std::size_t slash = path.rfind('/');
    by_directory[slash == std::string::npos ? "" : path.substr(0, slash)].push_back(path);
  }
  for (const auto& [directory, paths] : by_directory) {
    if (paths.size() > 1) {
      diagnostics.add_error(
          Error{Code::invalid, "the directory also has " + paths.front() + ", and only one counts",
                "AmbiguousKustomization", Place{paths.back(), 1, 1, {}}, "keep one of the two"});
      continue;
    }
    diagnostics.add_error(Error{Code::invalid, "kustomize rendering is not carried out yet",
                                "KustomizeNotSupported", Place{paths.front(), 1, 1, {}},
                                "commit the output of kustomize build, without this file"});
  }
}

}  // namespace moored::git
