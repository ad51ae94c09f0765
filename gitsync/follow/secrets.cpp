#include "gitsync/follow/secrets.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "schema/host/file.hpp"

namespace moored::git {
namespace {

constexpr std::size_t kMaxSecretFile = 256U << 10U;

// Both come from a manifest and name a directory: nothing that could lead out of it.
bool is_name(const std::string& text) {
  return !text.empty() && text.front() != '.' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos;
}

// What others could read (of a file) or replace (in a directory) is no secret of the operator's.
Status judge(int descriptor, const std::string& path, mode_t type) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return Unexpected(system_error("look at " + path, errno));
  if ((found.st_mode & S_IFMT) != type) {
    return Unexpected(Error{Code::denied, path + " is no file", "CredentialsRefused", {},
                            "keep a file for each key there and nothing else"});
  }
  const bool directory = type == S_IFDIR;
  const mode_t closed = directory ? S_IWGRP | S_IWOTH : S_IRWXG | S_IRWXO;
  const bool ours = found.st_uid == 0 || found.st_uid == ::geteuid();
  if (ours && (found.st_mode & closed) == 0) return {};
  const char* wrong = directory ? " can be changed by others than root"
                                : " is open to others than root";
  return Unexpected(Error{Code::denied, path + wrong, "SecretExposed", {},
                          "chown root and chmod go= it, then renew what is in it"});
}

// Reads the very file that was judged, whatever its name leads to by now.
Result<std::string> read_all(int descriptor, const std::string& path) {
  std::string content;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unexpected(system_error("read " + path, errno));
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > kMaxSecretFile) {
      return fail(Code::exhausted, path + " is longer than 256 KiB");
    }
  }
}

Result<SecretValues> read_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Unexpected(system_error("open " + path, errno));
  MOORED_CHECK(judge(directory.get(), path, S_IFDIR));
  // Its names by the descriptor as well: it is the directory that was judged.
  MOORED_TRY(const auto names,
             list_directory("/proc/self/fd/" + std::to_string(directory.get())));
  SecretValues values;
  for (const auto& name : names) {
    // Editors and mounted Secrets leave such files beside the others.
    if (name.front() == '.') continue;
    const std::string place = path + '/' + name;
    const UniqueFd file(::openat(directory.get(), name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return Unexpected(system_error("open " + place, errno));
    MOORED_CHECK(judge(file.get(), place, S_IFREG));
    MOORED_TRY(values[name], read_all(file.get(), place));
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
