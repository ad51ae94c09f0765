// What the operator says about registries, and what follows for one image. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/image/names.hpp"
#include "runtime/image/registry_wire.hpp"

namespace moored::image {

// One registry that is not as all others.
struct RegistrySetting {
  std::string host;                  // as in image names: HOST or HOST:PORT
  bool insecure = false;             // plain HTTP
  std::string ca_file;               // authority of its certificate; empty: the system's
  std::vector<std::string> mirrors;  // URLs that are asked before it, in this order
  std::vector<std::string> realms;   // origins that may be asked for its tokens
};

struct RegistrySettings {
  std::vector<RegistrySetting> registries;
  std::string credentials_file;      // in the form of ~/.docker/config.json; empty: none
  std::int64_t idle_seconds = 60;
  std::int64_t total_seconds = 1800;
};

// When images are given up. Percent of the file system that holds them.
struct GarbageSettings {
  int high_percent = 85;  // above it
  int low_percent = 80;   // until below it
  std::int64_t minimum_age_seconds = 120;  // since the last use
};

// What pulling may cost.
struct PullingStoreOptions {
  RegistrySettings registries;
  std::size_t parallel = 3;                       // images at a time
  std::int64_t image_bytes = std::int64_t{8} << 30U;
};

// Where to ask for an image: its mirrors, then its registry. Mirrors get no logins of the registry
// they stand for: those of their own host are used. certificates: content of ca_file.
// credentials: all that may be used, those to try first in front.
// Errors: invalid (ConfigInvalid: a mirror is no URL).
struct Credential;
Result<std::vector<RegistryAccess>> plan_accesses(const ImageName& name,
                                                  const RegistrySettings& settings,
                                                  const std::vector<Credential>& credentials,
                                                  const std::string& certificates);
// The setting of an image's registry, or one with its host alone.
RegistrySetting find_setting(const RegistrySettings& settings, const ImageName& name);

}  // namespace moored::image
