#include "reconciler/daemon/configuration.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "gitsync/repo/url.hpp"
#include "reconciler/daemon/configuration_rules.hpp"
#include "schema/host/file.hpp"
#include "schema/model/grammar.hpp"

namespace moored {
namespace {

constexpr const char* kDefaultFile = "/etc/moored/moored.yaml";

// Texts were checked before, so the last line can only mean baseline.
AdmissionPolicy::Level to_level(std::string_view text) {
  if (text == "privileged") return AdmissionPolicy::Level::privileged;
  if (text == "restricted") return AdmissionPolicy::Level::restricted;
  return AdmissionPolicy::Level::baseline;
}

// ADDRESS:PORT; an IPv6 address in brackets.
Status set_listen(const std::string& text, Configuration& out) {
  const auto colon = text.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end) port = -1;
  }
  if (colon == 0 || port < 0 || port > 65535) {
    return Unexpected(bad_setting("--listen " + text + " is not ADDRESS:PORT",
                                  "write for instance 127.0.0.1:6446"));
  }
  const bool brackets = text[0] == '[' && text[colon - 1] == ']';
  out.listen_address = brackets ? text.substr(1, colon - 2) : text.substr(0, colon);
  out.listen_port = port;
  return {};
}

// Flag over file over what is there already.
void choose(std::string& target, const std::string& file, const std::optional<std::string>& flag) {
  if (!file.empty()) target = file;
  if (flag) target = *flag;
}

bool is_loopback(const std::string& address) {
  return address == "::1" || address.substr(0, 4) == "127.";
}

// Nobody else's network sees the API without a certificate and tokens: kubectl sends a token only
// inside of TLS.
Status set_access(const ConfigurationFile& file, const ConfigurationFlags& flags,
                  Configuration& out) {
  const auto tls = file.tls.value_or(TlsSetting{});
  choose(out.tls_certificate, tls.certificate_file, flags.tls_cert);
  choose(out.tls_key, tls.key_file, flags.tls_key);
  choose(out.client_ca, tls.client_ca_file, flags.client_ca);
  choose(out.token_file, file.token_file, flags.token_file);
  if (out.tls_certificate.empty() != out.tls_key.empty()) {
    return Unexpected(bad_setting("--tls-cert and --tls-key belong together", "give both or none"));
  }
  const bool has_tls = !out.tls_certificate.empty();
  if (!has_tls && !(out.token_file.empty() && out.client_ca.empty())) {
    return Unexpected(
        bad_setting("--token-file and --client-ca need TLS: clients send no token over "
                    "plain HTTP",
                    "give --tls-cert and --tls-key as well"));
  }
  if (is_loopback(out.listen_address) || (has_tls && !out.token_file.empty())) return {};
  return Unexpected(bad_setting("--listen " + out.listen_address +
                                    " can be reached by other machines, "
                                    "so it needs a certificate and tokens",
                                "give --tls-cert, --tls-key and --token-file (moorctl token makes "
                                "one), or listen on 127.0.0.1"));
}

// gethostname need not end a cut name with NUL; the zeroed last byte does.
std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

// Absolute and in normal form, so that one directory has one spelling everywhere.
Status choose_path(std::string& target, const std::string& file,
                   const std::optional<std::string>& flag, std::string_view name) {
  choose(target, file, flag);
  if (target.empty()) {
    return Unexpected(bad_setting("--" + std::string(name) + " is empty", "name a directory"));
  }
  target = std::filesystem::absolute(target).lexically_normal().string();
  while (target.size() > 1 && target.back() == '/')
    target.pop_back();
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
    return Unexpected(bad_setting("--interval " + out.git_interval + " is not a duration",
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
  for (const auto& [name, level] : policy.sources)
    out.source_floors[name] = to_level(level);
  if (flags.pod_security) {
    if (auto error = check_security_level(*flags.pod_security)) {
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
    return Unexpected(
        bad_setting("images.lowThresholdPercent must lie below highThresholdPercent"));
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
  if (!mode) return Unexpected(bad_setting("--drift " + word + " is not off, report or correct"));
  out.drift = *mode;
  return {};
}

}  // namespace

Result<Configuration> merge_configuration(const ConfigurationFile& file,
                                          const ConfigurationFlags& flags) {
  Configuration out;
  out.node_name = host_name();
  MOORED_CHECK(set_source(file, flags, out));
  MOORED_CHECK(set_policy(file, flags, out));
  MOORED_CHECK(set_images(file, out));
  MOORED_CHECK(set_drift(file, flags, out));
  MOORED_TRY(out.api_limits, merge_limits(file.limits.value_or(LimitsSetting{})));
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
  MOORED_CHECK(set_access(file, flags, out));
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
