#include "reconciler/daemon/configuration.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "gitsync/repo/url.hpp"
#include "schema/codec/codec.hpp"
#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

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
const TypeSchema& schema_of<ConfigurationFile>();

namespace {

constexpr const char* kDefaultFile = "/etc/moored/moored.yaml";
constexpr std::string_view kHere = "reconciler/daemon";

// One reason for flags and file alike.
Error invalid(std::string message, std::string fix = {}) {
  return Error{Code::invalid, std::move(message), "ConfigInvalid", {}, std::move(fix)};
}

// The three levels of the Pod Security Standards.
std::optional<Error> check_level(std::string_view text) {
  if (text == "privileged" || text == "baseline" || text == "restricted") return std::nullopt;
  return invalid("a level is privileged, baseline or restricted");
}
std::optional<Error> check_level_row(const void* value) {
  return check_level(*static_cast<const std::string*>(value));
}
std::optional<Error> check_level_map(const void* value) {
  for (const auto& [name, level] : *static_cast<const std::map<std::string, std::string>*>(value)) {
    if (auto error = check_level(level)) return error;
    if (auto error = check_dns_label(name)) return error;
  }
  return std::nullopt;
}
// namespace/name of a GitRepository, as status and log write it.
std::optional<Error> check_source_levels(const void* value) {
  for (const auto& [name, level] : *static_cast<const std::map<std::string, std::string>*>(value)) {
    if (auto error = check_level(level)) return error;
    const auto slash = name.find('/');
    if (slash == std::string::npos) {
      return invalid("the source " + name + " is not written as namespace/name",
                     "the one of this file is moored-system/default");
    }
    if (auto error = check_dns_label(name.substr(0, slash))) return error;
    if (auto error = check_dns_subdomain(name.substr(slash + 1))) return error;
  }
  return std::nullopt;
}
std::optional<Error> check_drift_row(const void* value) {
  if (find_drift_mode(*static_cast<const std::string*>(value))) return std::nullopt;
  return invalid("drift is treated by off, report or correct");
}
std::optional<Error> check_path_row(const void* value) {
  const auto& path = *static_cast<const std::string*>(value);
  if (!path.empty() && path.front() == '/') return std::nullopt;
  return invalid("the path must be absolute");
}

std::optional<Error> check_name_row(const void* value) {
  return check_dns_subdomain(*static_cast<const std::string*>(value));
}
std::optional<Error> check_history_row(const void* value) {
  const auto& history = *static_cast<const std::string*>(value);
  if (history == "follow" || history == "fast-forward") return std::nullopt;
  return invalid("history is follow or fast-forward");
}
// A kind that is spelt wrong would be one that the source may not declare: said here already.
std::optional<Error> check_rights_row(const void* value) {
  using Rights = std::map<std::string, RightsSetting>;
  for (const auto& [source, rights] : *static_cast<const Rights*>(value)) {
    const auto slash = source.find('/');
    const bool shaped = source == "*" || (slash != std::string::npos &&
                                          !check_dns_label(source.substr(0, slash)) &&
                                          !check_dns_subdomain(source.substr(slash + 1)));
    if (!shaped) return invalid("a source is named as namespace/name, all others as *");
    for (const auto& space : rights.namespaces) {
      if (auto error = check_dns_label(space)) return error;
    }
    for (const auto& wanted : rights.kinds) {
      const auto kinds = all_kinds();
      const bool known = std::any_of(kinds.begin(), kinds.end(), [&](const Kind* kind) {
        return wanted == kind->kind ||
               wanted == std::string(kind->kind) + '.' + std::string(kind->group);
      });
      if (!known) return invalid("there is no kind " + wanted, "write for instance Deployment");
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
    field<&SourceSetting::secret>("secret", {.check = &check_name_row, .carried_by = kHere,
                                             .doc = "credentials, as secretRef"}),
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
    field<&SourcesSetting::history>("history", {.check = &check_history_row, .carried_by = kHere,
                                                .doc = "follow (default) or fast-forward"}),
    field<&SourcesSetting::rights>("rights", {.check = &check_rights_row, .carried_by = kHere,
                                              .doc = "what sources may declare"}),
};
constexpr Field kPolicyFields[] = {
    field<&PolicySetting::level>("default", {.check = &check_level_row,
                                             .carried_by = "schema/validate",
                                             .doc = "Pod Security level of every namespace"}),
    field<&PolicySetting::namespaces>("namespaces", {.check = &check_level_map,
                                                     .carried_by = "schema/validate",
                                                     .doc = "level by namespace"}),
    field<&PolicySetting::sources>("sources", {.check = &check_source_levels,
                                               .carried_by = "schema/validate",
                                               .doc = "least strict level by source"}),
};
std::optional<Error> check_duration_row(const void* value) {
  const auto duration = parse_duration(*static_cast<const std::string*>(value));
  if (duration && *duration >= std::chrono::seconds(1)) return std::nullopt;
  return invalid("the duration must be a second at least", "write for instance 60s or 30m");
}
std::optional<Error> check_parallel_row(const void* value) {
  const auto number = *static_cast<const std::int32_t*>(value);
  if (number >= 1 && number <= 32) return std::nullopt;
  return invalid("the number must lie between 1 and 32");
}
std::optional<Error> check_percent_row(const void* value) {
  const auto number = *static_cast<const std::int32_t*>(value);
  if (number >= 0 && number <= 100) return std::nullopt;
  return invalid("the number must lie between 0 and 100");
}
std::optional<Error> check_host_row(const void* value) {
  const auto& host = *static_cast<const std::string*>(value);
  const bool good = !host.empty() && host.find('/') == std::string::npos;
  if (good && !check_image_reference(host + "/x")) return std::nullopt;
  return invalid("the host must be written as in image names",
                 "write for instance registry.example.org:5000");
}
std::optional<Error> check_url_list(const void* value) {
  for (const auto& url : *static_cast<const std::vector<std::string>*>(value)) {
    if (url.rfind("http://", 0) != 0 && url.rfind("https://", 0) != 0) {
      return invalid(url + " is no http or https URL", "write for instance https://example.org");
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
    field<&image::RegistrySetting::ca_file>("caFile", {.check = &check_path_row,
                                                       .carried_by = kImages,
                                                       .doc = "PEM file of its authority"}),
    field<&image::RegistrySetting::mirrors>("mirrors", {.check = &check_url_list,
                                                        .carried_by = kImages,
                                                        .doc = "URLs that are asked first"}),
    field<&image::RegistrySetting::realms>("realms", {.check = &check_url_list,
                                                      .carried_by = kImages,
                                                      .doc = "other origins of its tokens"}),
};
constexpr Field kImagesFields[] = {
    field<&ImagesSetting::credentials_file>(
        "credentialsFile",
        {.check = &check_path_row, .carried_by = kImages, .doc = "as ~/.docker/config.json"}),
    field<&ImagesSetting::parallel_pulls>("parallelPulls", {.check = &check_parallel_row,
                                                            .carried_by = kImages,
                                                            .doc = "images pulled at a time"}),
    field<&ImagesSetting::pull_timeout>("pullTimeout", {.check = &check_duration_row,
                                                        .carried_by = kImages,
                                                        .doc = "one blob at the longest"}),
    field<&ImagesSetting::idle_timeout>("idleTimeout", {.check = &check_duration_row,
                                                        .carried_by = kImages,
                                                        .doc = "without a byte of it"}),
    field<&ImagesSetting::high_percent>(
        "highThresholdPercent",
        {.check = &check_percent_row, .carried_by = kImages, .doc = "disk use that is too much"}),
    field<&ImagesSetting::low_percent>(
        "lowThresholdPercent",
        {.check = &check_percent_row, .carried_by = kImages, .doc = "disk use to come down to"}),
    field<&ImagesSetting::minimum_age>("minimumAge", {.check = &check_duration_row,
                                                      .carried_by = kImages,
                                                      .doc = "unused for so long at least"}),
    field<&ImagesSetting::registries>("registries", {.merge_key = "host",
                                                     .carried_by = kImages,
                                                     .doc = "registries unlike the others"}),
};
constexpr Field kFileFields[] = {
    field<&ConfigurationFile::source>("source", {.carried_by = kHere, .doc = "the first source"}),
    field<&ConfigurationFile::sources>("sources", {.carried_by = kHere, .doc = "rules for all"}),
    field<&ConfigurationFile::policy>("policy", {.carried_by = kHere, .doc = "Pod Security"}),
    field<&ConfigurationFile::images>("images", {.carried_by = kImages, .doc = "registries"}),
    field<&ConfigurationFile::drift>("drift", {.check = &check_drift_row,
                                               .carried_by = "runtime/agent",
                                               .doc = "off, report or correct"}),
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

// Texts were checked before, so the last line can only mean baseline.
AdmissionPolicy::Level to_level(std::string_view text) {
  if (text == "privileged") return AdmissionPolicy::Level::privileged;
  if (text == "restricted") return AdmissionPolicy::Level::restricted;
  return AdmissionPolicy::Level::baseline;
}

// ADDRESS:PORT with an IPv4 address.
Status set_listen(const std::string& text, Configuration& out) {
  const auto colon = text.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end) port = -1;
  }
  if (colon == 0 || port < 0 || port > 65535) {
    return Unexpected(invalid("--listen " + text + " is not ADDRESS:PORT",
                              "write for instance 127.0.0.1:6446"));
  }
  out.listen_address = text.substr(0, colon);
  out.listen_port = port;
  return {};
}

// gethostname need not end a cut name with NUL; the zeroed last byte does.
std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

// Flag over file over what is there already.
void choose(std::string& target, const std::string& file, const std::optional<std::string>& flag) {
  if (!file.empty()) target = file;
  if (flag) target = *flag;
}

// Absolute and in normal form, so that one directory has one spelling everywhere.
Status choose_path(std::string& target, const std::string& file,
                   const std::optional<std::string>& flag, std::string_view name) {
  choose(target, file, flag);
  if (target.empty()) {
    return Unexpected(invalid("--" + std::string(name) + " is empty", "name a directory"));
  }
  target = std::filesystem::absolute(target).lexically_normal().string();
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  return {};
}

Status set_source(const ConfigurationFile& file, const ConfigurationFlags& flags,
                  Configuration& out) {
  const auto source = file.source.value_or(SourceSetting{});
  choose(out.git_url, source.url, flags.git);
  choose(out.git_branch, source.branch, flags.branch);
  choose(out.git_path, source.path, flags.path);
  choose(out.git_interval, source.interval, flags.interval);
  if (!parse_duration(out.git_interval)) {
    return Unexpected(invalid("--interval " + out.git_interval + " is not a duration",
                              "write for instance 10s or 1m"));
  }
  // A path given on the command line is meant from where the person stands.
  if (flags.git && out.git_url.find("://") == std::string::npos && !out.git_url.empty() &&
      out.git_url.find(':') == std::string::npos) {
    out.git_url = std::filesystem::absolute(out.git_url).lexically_normal().string();
  }
  out.allow_local_sources = file.sources && file.sources->allow_local;
  out.git_secret = source.secret;
  out.git_proxy_secret = source.proxy_secret;
  out.git_ignore = source.ignore;
  // Said before it could be logged: the URL may hold a password. What it leads to is allowed.
  if (!out.git_url.empty()) {
    auto url = git::check_source_url(out.git_url, true);
    if (!url) return Unexpected(std::move(url).error().context("the URL of the source"));
  }
  if (!file.sources) return {};
  out.source_user = file.sources->user;
  if (!file.sources->secrets_dir.empty()) out.secrets_dir = file.sources->secrets_dir;
  out.fast_forward_only = file.sources->history == "fast-forward";
  for (const auto& [name, rights] : file.sources->rights) {
    out.source_rights[name] = {rights.namespaces, rights.kinds};
  }
  return {};
}

// The flag is for a quick try and concerns the namespace default alone.
Status set_policy(const ConfigurationFile& file, const ConfigurationFlags& flags,
                  Configuration& out) {
  const auto policy = file.policy.value_or(PolicySetting{});
  if (!policy.level.empty()) out.policy.default_level = to_level(policy.level);
  for (const auto& [name, level] : policy.namespaces) {
    out.policy.namespace_levels[name] = to_level(level);
  }
  for (const auto& [name, level] : policy.sources) out.source_floors[name] = to_level(level);
  if (flags.pod_security) {
    if (auto error = check_level(*flags.pod_security)) {
      return Unexpected(std::move(*error).context("--pod-security " + *flags.pod_security));
    }
    out.policy.namespace_levels["default"] = to_level(*flags.pod_security);
  }
  return {};
}

// Durations were checked when they were read.
Status set_images(const ConfigurationFile& file, Configuration& out) {
  const auto images = file.images.value_or(ImagesSetting{});
  const auto read_seconds = [](const std::string& text, std::int64_t& seconds) {
    const auto duration = text.empty() ? std::nullopt : parse_duration(text);
    if (!duration) return;
    seconds = std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
  };
  auto& registries = out.images.registries;
  registries.registries = images.registries;
  registries.credentials_file = images.credentials_file;
  read_seconds(images.pull_timeout, registries.total_seconds);
  read_seconds(images.idle_timeout, registries.idle_seconds);
  out.images.parallel = static_cast<std::size_t>(images.parallel_pulls);
  if (images.low_percent >= images.high_percent) {
    return Unexpected(invalid("images.lowThresholdPercent must lie below highThresholdPercent"));
  }
  out.image_garbage.high_percent = images.high_percent;
  out.image_garbage.low_percent = images.low_percent;
  read_seconds(images.minimum_age, out.image_garbage.minimum_age_seconds);
  return {};
}

// Checked in the file by its row, here for the flag.
Status set_drift(const ConfigurationFile& file, const ConfigurationFlags& flags,
                 Configuration& out) {
  std::string word = "correct";
  choose(word, file.drift, flags.drift);
  const auto mode = find_drift_mode(word);
  if (!mode) return Unexpected(invalid("--drift " + word + " is not off, report or correct"));
  out.drift = *mode;
  return {};
}

}  // namespace

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
const TypeSchema& schema_of<ConfigurationFile>() {
  return table<ConfigurationFile>("moored.yaml", kFileFields);
}

// An empty file is a valid one: every setting has a default.
Result<ConfigurationFile> read_configuration_file(std::string_view text, const std::string& file) {
  Diagnostics diagnostics;
  const auto documents = read_yaml(text, file, diagnostics);
  ConfigurationFile out;
  if (documents.size() > 1) {
    diagnostics.add_error(invalid("the file holds more than one document").at({file, 1, 1, {}}));
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

Result<Configuration> merge_configuration(const ConfigurationFile& file,
                                          const ConfigurationFlags& flags) {
  Configuration out;
  out.node_name = host_name();
  MOORED_CHECK(set_source(file, flags, out));
  MOORED_CHECK(set_policy(file, flags, out));
  MOORED_CHECK(set_images(file, out));
  MOORED_CHECK(set_drift(file, flags, out));
  MOORED_CHECK(choose_path(out.state_dir, file.state_dir, flags.state_dir, "state-dir"));
  MOORED_CHECK(choose_path(out.run_dir, file.run_dir, flags.run_dir, "run-dir"));
  MOORED_CHECK(choose_path(out.log_dir, file.log_dir, flags.log_dir, "log-dir"));
  choose(out.node_name, file.node_name, flags.node_name);
  choose(out.pod_cidr, file.pod_cidr, flags.pod_cidr);
  choose(out.service_cidr, file.service_cidr, flags.service_cidr);
  choose(out.cgroup_root, file.cgroup_root, flags.cgroup_root);
  choose(out.cgroup_parent, {}, flags.cgroup_parent);
  choose(out.libexec_dir, file.libexec_dir, flags.libexec_dir);
  if (auto error = check_dns_subdomain(out.node_name)) {
    return Unexpected(std::move(*error).context("--node-name").mend("give one in lower case"));
  }
  std::string listen = out.listen_address + ":" + std::to_string(out.listen_port);
  choose(listen, file.listen, flags.listen);
  MOORED_CHECK(set_listen(listen, out));
  return out;
}

// A file that was named must exist; the usual one may be missing.
Result<Configuration> load_configuration(const ConfigurationFlags& flags) {
  ConfigurationFile file;
  const std::string path = flags.config.empty() ? kDefaultFile : flags.config;
  if (!flags.config.empty() || path_exists(path)) {
    MOORED_TRY(const auto text, read_file(path, 1U << 20U));
    MOORED_TRY(file, read_configuration_file(text, path));
  }
  return merge_configuration(file, flags);
}

}  // namespace moored
