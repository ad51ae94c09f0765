#include "runtime/image/credentials.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

constexpr std::size_t kMaxEntries = 1000;

Unexpected bad_file(const std::string& what) {
  return Unexpected(Error{Code::invalid, "the registry credentials " + what, "ConfigInvalid", {},
                          "write {\"auths\": {\"HOST\": {\"auth\": BASE64 OF USER:PASSWORD}}}"});
}

std::string text_of(const Value& map, std::string_view key) {
  const auto* value = map.find(key);
  return value != nullptr && value->type == Value::Type::text ? value->scalar : std::string();
}

// https://index.docker.io/v1/ and docker.io mean the same.
std::string clean_place(std::string_view place) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (place.rfind(scheme, 0) == 0) place.remove_prefix(scheme.size());
  }
  for (const std::string_view version : {"/v1/", "/v2/", "/v1", "/v2"}) {
    const bool ends = place.size() > version.size() &&
                      place.substr(place.size() - version.size()) == version;
    if (ends) place.remove_suffix(version.size());
  }
  while (!place.empty() && place.back() == '/') place.remove_suffix(1);
  const auto slash = std::min(place.find('/'), place.size());
  const auto host = place.substr(0, slash);
  const bool hub = host == "index.docker.io" || host == "registry-1.docker.io";
  return (hub ? "docker.io" : std::string(host)) + std::string(place.substr(slash));
}

Result<RegistryLogin> parse_login(const Value& entry) {
  RegistryLogin login{text_of(entry, "username"), text_of(entry, "password"),
                      text_of(entry, "identitytoken")};
  const auto packed = text_of(entry, "auth");
  if (packed.empty()) return login;
  std::string plain;
  const bool decoded = base64_decode(packed, plain);
  const auto colon = plain.find(':');
  if (!decoded || colon == std::string::npos) {
    return bad_file("hold an auth that is not the base64 of USER:PASSWORD");
  }
  login.user = plain.substr(0, colon);
  login.password = plain.substr(colon + 1);
  // Some tools end the password with NUL bytes.
  while (!login.password.empty() && login.password.back() == '\0') login.password.pop_back();
  return login;
}

// Labels one by one, so that a star never stands for a dot. Ports must be equal.
bool host_fits(const std::string& pattern, const std::string& host) {
  const auto split = [](const std::string& text) {
    const auto colon = text.rfind(':');
    std::vector<std::string> parts{colon == std::string::npos ? "" : text.substr(colon + 1)};
    std::string rest = text.substr(0, colon);
    for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
      parts.push_back(rest.substr(0, dot));
      rest = rest.substr(dot + 1);
    }
    parts.push_back(rest);
    return parts;
  };
  const auto wanted = split(pattern);
  const auto real = split(host);
  if (wanted.size() != real.size() || wanted.front() != real.front()) return false;
  for (std::size_t i = 1; i < wanted.size(); ++i) {
    if (fnmatch(wanted[i].c_str(), real[i].c_str(), 0) != 0) return false;
  }
  return true;
}

bool fits(const std::string& place, const std::string& repository) {
  const auto place_slash = std::min(place.find('/'), place.size());
  const auto slash = repository.find('/');
  if (!host_fits(place.substr(0, place_slash), repository.substr(0, slash))) return false;
  const auto path = place.substr(place_slash);
  const auto rest = repository.substr(slash);
  // The prefix ends where a part of the path ends: a/b is not for a/bc.
  return rest.rfind(path, 0) == 0 && (path.size() == rest.size() || path.empty() ||
                                      rest[path.size()] == '/');
}

}  // namespace

Result<std::vector<Credential>> parse_credentials(std::string_view json) {
  const auto value = read_json(json);
  if (!value || !value->is_map()) return bad_file("are not a JSON object");
  const auto* entries = value->find("auths");
  if (entries == nullptr) entries = &*value;  // kubernetes.io/dockercfg
  if (!entries->is_map()) return bad_file("have an \"auths\" that is no object");
  if (entries->members.size() > kMaxEntries) return bad_file("have more than 1000 entries");
  std::vector<Credential> out;
  for (const auto& [place, entry] : entries->members) {
    if (!entry.is_map()) return bad_file("have an entry that is no object");
    MOORED_TRY(auto login, parse_login(entry));
    if (login == RegistryLogin{}) continue;
    out.push_back({clean_place(place.scalar), std::move(login)});
  }
  return out;
}

std::vector<RegistryLogin> choose_logins(const std::vector<Credential>& credentials,
                                         const std::string& repository) {
  std::vector<const Credential*> fitting;
  for (const auto& credential : credentials) {
    if (fits(credential.place, repository)) fitting.push_back(&credential);
  }
  std::stable_sort(fitting.begin(), fitting.end(), [](const auto* a, const auto* b) {
    return std::count(a->place.begin(), a->place.end(), '/') >
           std::count(b->place.begin(), b->place.end(), '/');
  });
  std::vector<RegistryLogin> out;
  for (const auto* credential : fitting) {
    if (std::find(out.begin(), out.end(), credential->login) == out.end()) {
      out.push_back(credential->login);
    }
  }
  return out;
}

}  // namespace moored::image
