#include "reconciler/daemon/sources.hpp"

#include "schema/model/flux.hpp"

namespace moored {

std::vector<Object> configured_objects(const Configuration& configuration) {
  if (configuration.git_url.empty()) return {};
  GitRepository repository;
  repository.metadata.name = kDefaultName;
  repository.metadata.namespace_name = kSystemNamespace;
  repository.spec.url = configuration.git_url;
  repository.spec.interval = configuration.git_interval;
  GitRepositoryRef ref;
  // A full reference name or a commit may be given where most people give a branch.
  const auto& branch = configuration.git_branch;
  const bool commit =
      branch.size() == 40 && branch.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (commit) {
    ref.commit = branch;
  } else if (branch.rfind("refs/", 0) == 0) {
    ref.name = branch;
  } else {
    ref.branch = branch;
  }
  repository.spec.ref = std::move(ref);

  Kustomization unit;
  unit.metadata.name = kDefaultName;
  unit.metadata.namespace_name = kSystemNamespace;
  unit.spec.interval = configuration.git_interval;
  unit.spec.path = configuration.git_path;
  unit.spec.prune = true;
  unit.spec.source_ref.kind = "GitRepository";
  unit.spec.source_ref.name = kDefaultName;
  unit.spec.source_ref.namespace_name = kSystemNamespace;
  return {make_object(std::move(repository)), make_object(std::move(unit))};
}

}  // namespace moored
