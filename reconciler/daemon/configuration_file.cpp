// The tables of moored.yaml and the reading of it.
#include <algorithm>

#include "reconciler/daemon/configuration.hpp"
#include "reconciler/daemon/configuration_rules.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"

namespace moored {

template <>
const TypeSchema& schema_of<SourceSetting>();
template <>
const TypeSchema& schema_of<RightsSetting>();
template <>
const TypeSchema& schema_of<SourcesSetting>();
template <>
const TypeSchema& schema_of<PolicySetting>();
template <>
const TypeSchema& schema_of<image::RegistrySetting>();
template <>
const TypeSchema& schema_of<ImagesSetting>();
template <>
const TypeSchema& schema_of<TlsSetting>();
template <>
const TypeSchema& schema_of<LimitsSetting>();
template <>
const TypeSchema& schema_of<ConfigurationFile>();

namespace {

constexpr std::string_view kHere = "reconciler/daemon";

std::optional<Error> check_level_row(const void* value) {
  return check_security_level(*static_cast<const std::string*>(value));
}
std::optional<Error> check_level_map(const void* value) {
  for (const auto& [name, level] : *static_cast<const std::map<std::string, std::string>*>(value)) {
    if (auto error = check_security_level(level)) return error;
    if (auto error = check_dns_label(name)) return error;
  }
  return std::nullopt;
}
// namespace/name of a GitRepository, as status and log write it.
std::optional<Error> check_source_levels(const void* value) {
  for (const auto& [name, level] : *static_cast<const std::map<std::string, std::string>*>(value)) {
    if (auto error = check_security_level(level)) return error;
    const auto slash = name.find('/');
    if (slash == std::string::npos) {
      return bad_setting("the source " + name + " is not written as namespace/name",
                         "the one of this file is moored-system/default");
    }
    if (auto error = check_dns_label(name.substr(0, slash))) return error;
    if (auto error = check_dns_subdomain(name.substr(slash + 1))) return error;
  }
  return std::nullopt;
}
std::optional<Error> check_drift_row(const void* value) {
  if (find_drift_mode(*static_cast<const std::string*>(value))) return std::nullopt;
  return bad_setting("drift is treated by off, report or correct");
}
std::optional<Error> check_path_row(const void* value) {
  const auto& path = *static_cast<const std::string*>(value);
  if (!path.empty() && path.front() == '/') return std::nullopt;
  return bad_setting("the path must be absolute");
}

std::optional<Error> check_name_row(const void* value) {
  return check_dns_subdomain(*static_cast<const std::string*>(value));
}
std::optional<Error> check_history_row(const void* value) {
  const auto& history = *static_cast<const std::string*>(value);
  if (history == "follow" || history == "fast-forward") return std::nullopt;
  return bad_setting("history is follow or fast-forward");
}
// A kind that is spelt wrong would be one that the source may not declare: said here already.
std::optional<Error> check_rights_row(const void* value) {
  using Rights = std::map<std::string, RightsSetting>;
  for (const auto& [source, rights] : *static_cast<const Rights*>(value)) {
    const auto slash = source.find('/');
    const bool shaped =
        source == "*" || (slash != std::string::npos && !check_dns_label(source.substr(0, slash)) &&
                          !check_dns_subdomain(source.substr(slash + 1)));
    if (!shaped) return bad_setting("a source is named as namespace/name, all others as *");
    for (const auto& space : rights.namespaces) {
      if (auto error = check_dns_label(space)) return error;
    }
    for (const auto& wanted : rights.kinds) {
      const auto kinds = all_kinds();
      const bool known = std::any_of(kinds.begin(), kinds.end(), [&](const Kind* kind) {
        return wanted == kind->kind ||
               wanted == std::string(kind->kind) + '.' + std::string(kind->group);
      });
      if (!known) return bad_setting("there is no kind " + wanted, "write for instance Deployment");
    }
  }
  return std::nullopt;
}

constexpr Field kSourceFields[] = {
    field<&SourceSetting::url>(
        "url", {.flags = kRequired, .carried_by = kHere, .doc = "remote of the first source"}),
    field<&SourceSetting::branch>("branch", {.carried_by = kHere, .doc = "branch, default main"}),
    field<&SourceSetting::path>("path", {.carried_by = kHere, .doc = "directory, default ./"}),
    field<&SourceSetting::interval>("interval",
                                    {.carried_by = kHere, .doc = "poll interval, default 10s"}),
    field<&SourceSetting::secret>(
        "secret",
        {.check = &check_name_row, .carried_by = kHere, .doc = "credentials, as secretRef"}),
    field<&SourceSetting::proxy_secret>(
        "proxySecret",
        {.check = &check_name_row, .carried_by = kHere, .doc = "proxy, as proxySecretRef"}),
    field<&SourceSetting::ignore>("ignore", {.carried_by = kHere, .doc = "as in .gitignore"}),
};
constexpr Field kRightsFields[] = {
    field<&RightsSetting::namespaces>("namespaces",
                                      {.carried_by = "gitsync/load", .doc = "empty: all"}),
    field<&RightsSetting::kinds>("kinds", {.carried_by = "gitsync/load", .doc = "empty: all"}),
};
constexpr Field kSourcesFields[] = {
    field<&SourcesSetting::allow_local>(
        "allowLocal", {.carried_by = kHere, .doc = "allow local paths and loopback remotes"}),
    field<&SourcesSetting::user>(
        "user", {.carried_by = kHere, .doc = "user of the Git workers, default moored-git"}),
    field<&SourcesSetting::secrets_dir>(
        "secretsDir",
        {.check = &check_path_row, .carried_by = kHere, .doc = "NAMESPACE/NAME/KEY of secretRef"}),
    field<&SourcesSetting::history>("history", {.check = &check_history_row,
                                                .carried_by = kHere,
                                                .doc = "follow (default) or fast-forward"}),
    field<&SourcesSetting::rights>(
        "rights",
        {.check = &check_rights_row, .carried_by = kHere, .doc = "what sources may declare"}),
};
constexpr Field kPolicyFields[] = {
    field<&PolicySetting::level>("default", {.check = &check_level_row,
                                             .carried_by = "schema/validate",
                                             .doc = "Pod Security level of every namespace"}),
    field<&PolicySetting::namespaces>(
        "namespaces",
        {.check = &check_level_map, .carried_by = "schema/validate", .doc = "level by namespace"}),
    field<&PolicySetting::sources>("sources", {.check = &check_source_levels,
                                               .carried_by = "schema/validate",
                                               .doc = "least strict level by source"}),
};
std::optional<Error> check_duration_row(const void* value) {
  const auto duration = parse_duration(*static_cast<const std::string*>(value));
  if (duration && *duration >= std::chrono::seconds(1)) return std::nullopt;
  return bad_setting("the duration must be a second at least", "write for instance 60s or 30m");
}
std::optional<Error> check_parallel_row(const void* value) {
  const auto number = *static_cast<const std::int32_t*>(value);
  if (number >= 1 && number <= 32) return std::nullopt;
  return bad_setting("the number must lie between 1 and 32");
}
std::optional<Error> check_percent_row(const void* value) {
  const auto number = *static_cast<const std::int32_t*>(value);
  if (number >= 0 && number <= 100) return std::nullopt;
  return bad_setting("the number must lie between 0 and 100");
}
std::optional<Error> check_host_row(const void* value) {
  const auto& host = *static_cast<const std::string*>(value);
  const bool good = !host.empty() && host.find('/') == std::string::npos;
  if (good && !check_image_reference(host + "/x")) return std::nullopt;
  return bad_setting("the host must be written as in image names",
                     "write for instance registry.example.org:5000");
}
std::optional<Error> check_url_list(const void* value) {
  for (const auto& url : *static_cast<const std::vector<std::string>*>(value)) {
    if (url.rfind("http://", 0) != 0 && url.rfind("https://", 0) != 0) {
      return bad_setting(url + " is no http or https URL",
                         "write for instance https://example.org");
    }
  }
  return std::nullopt;
}

constexpr std::string_view kImages = "runtime/image";
constexpr Field kRegistryFields[] = {
    field<&image::RegistrySetting::host>("host", {.flags = kRequired,
                                                  .check = &check_host_row,
                                                  .carried_by = kImages,
                                                  .doc = "HOST or HOST:PORT of image names"}),
    field<&image::RegistrySetting::insecure>("insecure",
                                             {.carried_by = kImages, .doc = "plain HTTP"}),
    field<&image::RegistrySetting::ca_file>(
        "caFile",
        {.check = &check_path_row, .carried_by = kImages, .doc = "PEM file of its authority"}),
    field<&image::RegistrySetting::mirrors>(
        "mirrors",
        {.check = &check_url_list, .carried_by = kImages, .doc = "URLs that are asked first"}),
    field<&image::RegistrySetting::realms>(
        "realms",
        {.check = &check_url_list, .carried_by = kImages, .doc = "other origins of its tokens"}),
};
constexpr Field kImagesFields[] = {
    field<&ImagesSetting::credentials_file>(
        "credentialsFile",
        {.check = &check_path_row, .carried_by = kImages, .doc = "as ~/.docker/config.json"}),
    field<&ImagesSetting::parallel_pulls>(
        "parallelPulls",
        {.check = &check_parallel_row, .carried_by = kImages, .doc = "images pulled at a time"}),
    field<&ImagesSetting::pull_timeout>(
        "pullTimeout",
        {.check = &check_duration_row, .carried_by = kImages, .doc = "one blob at the longest"}),
    field<&ImagesSetting::idle_timeout>(
        "idleTimeout",
        {.check = &check_duration_row, .carried_by = kImages, .doc = "without a byte of it"}),
    field<&ImagesSetting::high_percent>(
        "highThresholdPercent",
        {.check = &check_percent_row, .carried_by = kImages, .doc = "disk use that is too much"}),
    field<&ImagesSetting::low_percent>(
        "lowThresholdPercent",
        {.check = &check_percent_row, .carried_by = kImages, .doc = "disk use to come down to"}),
    field<&ImagesSetting::minimum_age>("minimumAge", {.check = &check_duration_row,
                                                      .carried_by = kImages,
                                                      .doc = "unused for so long at least"}),
    field<&ImagesSetting::registries>(
        "registries",
        {.merge_key = "host", .carried_by = kImages, .doc = "registries unlike the others"}),
};
constexpr Field kTlsFields[] = {
    field<&TlsSetting::certificate_file>("certificateFile",
                                         {.flags = kRequired,
                                          .check = &check_path_row,
                                          .carried_by = "net/api",
                                          .doc = "certificate chain of the API, in PEM"}),
    field<&TlsSetting::key_file>("keyFile", {.flags = kRequired,
                                             .check = &check_path_row,
                                             .carried_by = "net/api",
                                             .doc = "its key, readable by root alone"}),
    field<&TlsSetting::client_ca_file>(
        "clientCAFile", {.check = &check_path_row,
                         .carried_by = "net/api",
                         .doc = "clients with a certificate of this authority may read"}),
};
constexpr Field kFileFields[] = {
    field<&ConfigurationFile::source>("source", {.carried_by = kHere, .doc = "the first source"}),
    field<&ConfigurationFile::sources>("sources", {.carried_by = kHere, .doc = "rules for all"}),
    field<&ConfigurationFile::policy>("policy", {.carried_by = kHere, .doc = "Pod Security"}),
    field<&ConfigurationFile::images>("images", {.carried_by = kImages, .doc = "registries"}),
    field<&ConfigurationFile::drift>("drift", {.check = &check_drift_row,
                                               .carried_by = "runtime/agent",
                                               .doc = "off, report or correct"}),
    field<&ConfigurationFile::limits>("limits", {.carried_by = kHere, .doc = "limits"}),
    field<&ConfigurationFile::tls>("tls", {.carried_by = "net/api", .doc = "TLS of the API"}),
    field<&ConfigurationFile::token_file>("tokenFile",
                                          {.check = &check_path_row,
                                           .carried_by = "net/api",
                                           .doc = "hashed tokens of those who may read"}),
    field<&ConfigurationFile::listen>("listen", {.carried_by = kHere, .doc = "ADDRESS:PORT"}),
    field<&ConfigurationFile::state_dir>(
        "stateDir", {.check = &check_path_row, .carried_by = kHere, .doc = "durable state"}),
    field<&ConfigurationFile::run_dir>(
        "runDir", {.check = &check_path_row, .carried_by = kHere, .doc = "sockets and pins"}),
    field<&ConfigurationFile::log_dir>(
        "logDir", {.check = &check_path_row, .carried_by = kHere, .doc = "container logs"}),
    field<&ConfigurationFile::node_name>("nodeName", {.carried_by = kHere, .doc = "node name"}),
    field<&ConfigurationFile::pod_cidr>("podCIDR", {.carried_by = "net/pod", .doc = "pods"}),
    field<&ConfigurationFile::service_cidr>(
        "serviceCIDR", {.carried_by = "reconciler/controllers", .doc = "Services"}),
    field<&ConfigurationFile::cgroup_root>(
        "cgroupRoot", {.carried_by = "runtime/cgroup", .doc = "path of the cgroup of all pods"}),
    field<&ConfigurationFile::libexec_dir>(
        "libexecDir", {.check = &check_path_row, .carried_by = kHere, .doc = "worker programs"}),
};

// The file is read by the same decoder as manifests: unknown keys, types and places are told alike.
template <class T, std::size_t N>
const TypeSchema& table(std::string_view name, const Field (&fields)[N]) {
  static const TypeSchema schema{name, std::span<const Field>(fields)};
  return schema;
}

// All errors as one, the first with its place.
Error join(const Diagnostics& diagnostics) {
  Error error = diagnostics.errors().front();
  error.reason = "ConfigInvalid";
  for (std::size_t i = 1; i < diagnostics.errors().size(); ++i) {
    error.message += "; " + diagnostics.errors()[i].text();
  }
  return error;
}

}  // namespace

Error bad_setting(std::string message, std::string fix) {
  return Error{Code::invalid, std::move(message), "ConfigInvalid", {}, std::move(fix)};
}

std::optional<Error> check_security_level(std::string_view text) {
  if (text == "privileged" || text == "baseline" || text == "restricted") return std::nullopt;
  return bad_setting("a level is privileged, baseline or restricted");
}

template <>
const TypeSchema& schema_of<SourceSetting>() {
  return table<SourceSetting>("source", kSourceFields);
}
template <>
const TypeSchema& schema_of<RightsSetting>() {
  return table<RightsSetting>("rights", kRightsFields);
}

template <>
const TypeSchema& schema_of<SourcesSetting>() {
  return table<SourcesSetting>("sources", kSourcesFields);
}
template <>
const TypeSchema& schema_of<PolicySetting>() {
  return table<PolicySetting>("policy", kPolicyFields);
}
template <>
const TypeSchema& schema_of<image::RegistrySetting>() {
  return table<image::RegistrySetting>("registry", kRegistryFields);
}
template <>
const TypeSchema& schema_of<ImagesSetting>() {
  return table<ImagesSetting>("images", kImagesFields);
}
template <>
const TypeSchema& schema_of<TlsSetting>() {
  return table<TlsSetting>("tls", kTlsFields);
}
template <>
const TypeSchema& schema_of<ConfigurationFile>() {
  return table<ConfigurationFile>("moored.yaml", kFileFields);
}

// An empty file is a valid one: every setting has a default.
Result<ConfigurationFile> read_configuration_file(std::string_view text, const std::string& file) {
  Diagnostics diagnostics;
  const auto documents = read_yaml(text, file, diagnostics);
  ConfigurationFile out;
  if (documents.size() > 1) {
    diagnostics.add_error(
        bad_setting("the file holds more than one document").at({file, 1, 1, {}}));
  }
  if (diagnostics.ok() && !documents.empty()) {
    const auto& schema = schema_of<ConfigurationFile>();
    codec::Decoder(file, codec::Strictness::manifest, diagnostics)
        .read_struct(schema, documents.front(), &out, {});
    codec::run_checks(schema, &out, documents.front(), file, diagnostics);
  }
  if (!diagnostics.ok()) return Unexpected(join(diagnostics));
  return out;
}

}  // namespace moored
