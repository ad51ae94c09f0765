#include "runtime/image/registry_settings.hpp"

#include "runtime/image/credentials.hpp"

namespace moored::image {
namespace {

// Two services have their tokens elsewhere, and have had so for all their life.
struct KnownRealm {
  std::string_view host;
  std::string_view realm;
};
constexpr KnownRealm kKnownRealms[] = {{"docker.io", "https://auth.docker.io"},
                                       {"registry.gitlab.com", "https://gitlab.com"}};

// docker.io is a name for people; the registry behind it is called otherwise.
std::string make_base(const std::string& host, bool insecure) {
  if (host == "docker.io") return "https://registry-1.docker.io";
  return (insecure || is_loopback_host(host) ? "http://" : "https://") + host;
}

Unexpected bad_mirror(const std::string& url) {
  return Unexpected(Error{Code::invalid, "the mirror " + url + " is no http or https URL",
                          "ConfigInvalid", {}, "write for instance https://mirror.example.org"});
}

}  // namespace

RegistrySetting find_setting(const RegistrySettings& settings, const ImageName& name) {
  const auto host = name.repository.substr(0, name.repository.find('/'));
  for (const auto& setting : settings.registries) {
    if (setting.host == host) return setting;
  }
  RegistrySetting plain;
  plain.host = host;
  return plain;
}

Result<std::vector<RegistryAccess>> plan_accesses(const ImageName& name,
                                                  const RegistrySettings& settings,
                                                  const std::vector<Credential>& credentials,
                                                  const std::string& certificates) {
  const auto setting = find_setting(settings, name);
  RegistryAccess access;
  access.repository = name.repository.substr(name.repository.find('/') + 1);
  access.idle_seconds = settings.idle_seconds;
  access.total_seconds = settings.total_seconds;
  std::vector<RegistryAccess> out;
  for (auto url : setting.mirrors) {
    const auto start = url.find("://");
    const auto scheme = url.substr(0, start);
    if (start == std::string::npos || (scheme != "http" && scheme != "https")) {
      return bad_mirror(url);
    }
    while (url.back() == '/') url.pop_back();
    auto mirror = access;
    mirror.base = url;
    mirror.origin = setting.host;
    mirror.logins = choose_logins(credentials, url.substr(start + 3) + '/' + access.repository);
    out.push_back(std::move(mirror));
  }
  access.base = make_base(setting.host, setting.insecure);
  access.logins = choose_logins(credentials, name.repository);
  access.realms = setting.realms;
  access.certificates = certificates;
  for (const auto& known : kKnownRealms) {
    if (known.host == setting.host) access.realms.emplace_back(known.realm);
  }
  out.push_back(std::move(access));
  return out;
}

}  // namespace moored::image
