#include "reconciler/daemon/sources.hpp"

#include <pwd.h>

#include <cerrno>

#include "schema/base/log.hpp"
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
  repository.spec.ignore = configuration.git_ignore;
  if (!configuration.git_secret.empty()) {
    repository.spec.secret_ref = LocalObjectReference{configuration.git_secret};
  }
  if (!configuration.git_proxy_secret.empty()) {
    repository.spec.proxy_secret_ref = LocalObjectReference{configuration.git_proxy_secret};
  }

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

// Looked up once at the start: name services may be slow, and a user that changes under a running
// daemon would leave mirrors of two owners.
Result<std::optional<std::pair<unsigned, unsigned>>> find_git_user(
    const Configuration& configuration) {
  const std::string name = configuration.source_user.empty() ? kGitUser : configuration.source_user;
  const std::string mend = "useradd --system --user-group --no-create-home --home-dir /nonexistent "
                           "--shell /usr/sbin/nologin " + name;
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> texts(16384);
  const int code = ::getpwnam_r(name.c_str(), &entry, texts.data(), texts.size(), &found);
  // Several numbers mean that there is no such user, by the manual; only these mean trouble.
  if (code == EIO || code == EMFILE || code == ENFILE || code == ENOMEM || code == ERANGE) {
    return Unexpected(system_error("look up the user " + name, code));
  }
  if (found == nullptr && configuration.source_user.empty()) {
    log(LogLevel::warning,
        "there is no user moored-git: what parses repositories runs as root, without capabilities",
        {{"fix", mend + ", then restart moored"}});
    return std::optional<std::pair<unsigned, unsigned>>();
  }
  if (found == nullptr || entry.pw_uid == 0) {
    return Unexpected(Error{Code::invalid,
                            "sources.user: " + name + (found == nullptr ? " does not exist"
                                                                        : " is root"),
                            "ConfigInvalid", {}, found == nullptr ? mend : "name another user"});
  }
  return std::optional(std::pair<unsigned, unsigned>(entry.pw_uid, entry.pw_gid));
}

}  // namespace moored
