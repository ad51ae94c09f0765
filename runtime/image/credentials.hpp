// Credentials in the form of ~/.docker/config.json, and which of them are for which image. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/image/registry_wire.hpp"
#include "schema/base/result.hpp"

namespace moored::image {

// One entry: for whom, and who.
struct Credential {
  std::string place;  // host[:port][/path] without a scheme; its host may hold globs
  RegistryLogin login;
};

// Reads {"auths": {PLACE: {"auth": …}}} or the older form without "auths". Entries that name a
// credential program only are left out. Errors: invalid (ConfigInvalid); never with a secret in it.
Result<std::vector<Credential>> parse_credentials(std::string_view json);

// The logins for an image, those of the longest place first, each once.
// repository: host[:port]/path as in ImageName.
// Source: Kubernetes, "Interpretation of config.json"; docker.io has its old names as well.
std::vector<RegistryLogin> choose_logins(const std::vector<Credential>& credentials,
                                         const std::string& repository);

}  // namespace moored::image
