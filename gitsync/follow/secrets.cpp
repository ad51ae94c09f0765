#include "gitsync/follow/secrets.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "schema/host/file.hpp"

namespace moored::git {
namespace {

constexpr std::size_t kMaxSecretFile = 256U << 10U;

// Both come from a manifest and name a directory: nothing that could lead out of it.
bool is_name(const std::string& text) {
  return !text.empty() && text.front() != '.' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

// Judged on the descriptor that is read from, so that nothing can change in between.
Status check_closed(int descriptor, const std::string& path) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return Unexpected(system_error("look at " + path, errno));
  const bool ours = found.st_uid == 0 || found.st_uid == ::geteuid();
  if (ours && (found.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return Unexpected(Error{Code::denied, path + " is open to others than root", "SecretExposed", {},
                          "chown root and chmod go= it, then renew what is in it"});
}

Result<SecretValues> read_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Unexpected(system_error("open " + path, errno));
  MOORED_TRY(const auto names, list_directory(path));
  SecretValues values;
  for (const auto& name : names) {
    // Editors and mounted Secrets leave such files beside the others.
    if (name.front() == '.') continue;
    const UniqueFd file(::openat(directory.get(), name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return Unexpected(system_error("open " + path + '/' + name, errno));
    MOORED_CHECK(check_closed(file.get(), path + '/' + name));
    MOORED_TRY(values[name], read_file_at(directory.get(), name, kMaxSecretFile));
  }
  return values;
}

Error not_found(const std::string& what, const std::string& path) {
  return Error{Code::not_found, "there is no Secret " + what, "SecretNotFound", {},
               "declare it, or put its keys as files into " + path};
}

std::string namespace_of(const SourceSpec& source) {
  return source.id.substr(0, source.id.find('/'));
}

}  // namespace

Result<SecretValues> read_secret(const SourceSecret& secret, const std::string& namespace_name,
                                 const std::string& directory) {
  const std::string path = directory + '/' + namespace_name + '/' + secret.name;
  const bool named = is_name(secret.name) && is_name(namespace_name);
  if (named && !directory.empty() && path_exists(path)) return read_directory(path);
  if (secret.values) return *secret.values;
  return Unexpected(not_found(namespace_name + '/' + secret.name, path));
}

Result<ServerAccess> read_access(const SourceSpec& source, const std::string& directory) {
  ServerAccess access;
  access.allow_local = source.allow_local;
  if (!source.secret && !source.proxy_secret) return access;
  MOORED_TRY(const SourceUrl url, check_source_url(source.url, source.allow_local));
  if (source.secret) {
    MOORED_TRY(const auto values, read_secret(*source.secret, namespace_of(source), directory));
    MOORED_TRY(access.credentials, read_credentials(values, url));
  }
  if (source.proxy_secret) {
    MOORED_TRY(const auto values,
               read_secret(*source.proxy_secret, namespace_of(source), directory));
    MOORED_TRY(access.proxy, read_proxy(values, url, source.allow_local));
  }
  return access;
}

}  // namespace moored::git
