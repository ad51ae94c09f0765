// What an operator can say to the daemon: flags over /etc/moored/moored.yaml over defaults.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gitsync/load/selection.hpp"
#include "net/api/transport.hpp"
#include "runtime/image/registry_settings.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/model/drift_mode.hpp"
#include "schema/validate/validate.hpp"

namespace moored {

// The first source, as the file writes it.
struct SourceSetting {
  std::string url;
  std::string branch;
  std::string path;
  std::string interval;
  std::string secret;        // a directory below sources.secretsDir/moored-system, or a Secret
  std::string proxy_secret;  // JSON name: proxySecret
  std::string ignore;
};
// What one source may declare; empty lists are no limit.
struct RightsSetting {
  std::vector<std::string> namespaces;
  std::vector<std::string> kinds;
};
// Rules for every source, also for those that are declared in Git.
struct SourcesSetting {
  bool allow_local = false;  // JSON name: allowLocal
  std::string user;
  std::string secrets_dir;   // JSON name: secretsDir
  std::string history;       // follow or fast-forward
  std::map<std::string, RightsSetting> rights;  // by namespace/name; * for all others
};
// Pod Security levels: privileged, baseline or restricted.
struct PolicySetting {
  std::string level;  // JSON name: default
  std::map<std::string, std::string> namespaces;
  std::map<std::string, std::string> sources;  // by namespace/name: at least this strict
};
// Images and where they come from.
struct ImagesSetting {
  std::string credentials_file;  // JSON name: credentialsFile
  std::int32_t parallel_pulls = 3;
  std::string pull_timeout;
  std::string idle_timeout;
  std::int32_t high_percent = 85;  // JSON name: highThresholdPercent
  std::int32_t low_percent = 80;   // JSON name: lowThresholdPercent
  std::string minimum_age;
  std::vector<image::RegistrySetting> registries;
};
// Certificates of the API.
struct TlsSetting {
  std::string certificate_file;  // JSON name: certificateFile
  std::string key_file;
  std::string client_ca_file;    // JSON name: clientCAFile
};
// Limits of the API, as the file writes them: absent ones and empty durations keep the default.
struct ApiLimitsSetting {
  std::optional<std::int64_t> request_line_bytes, header_bytes, headers_bytes, headers;
  std::optional<std::int64_t> body_bytes, held_bytes, pull_bytes;
  std::optional<std::int64_t> connections, connections_per_address, streams;
  std::string header_time, idle_time, body_time, write_time;
};
struct LimitsSetting {
  std::optional<ApiLimitsSetting> api;
};
// The file moored.yaml, one struct for each of its maps; the rows are in configuration.cpp.
struct ConfigurationFile {
  std::optional<SourceSetting> source;
  std::optional<SourcesSetting> sources;
  std::optional<PolicySetting> policy;
  std::optional<ImagesSetting> images;
  std::string drift;
  std::optional<LimitsSetting> limits;
  std::optional<TlsSetting> tls;
  std::string token_file;
  std::string listen;
  std::string state_dir;
  std::string run_dir;
  std::string log_dir;
  std::string node_name;
  std::string pod_cidr;
  std::string service_cidr;
  std::string cgroup_root;
  std::string libexec_dir;
};

// Everything the daemon starts with: paths are absolute, texts are checked.
struct Configuration {
  std::string git_url;             // empty: no source of its own
  std::string git_branch = "main";
  std::string git_path = "./";
  std::string git_interval = "10s";
  std::string state_dir = "/var/lib/moored";
  std::string run_dir = "/run/moored";
  std::string log_dir = "/var/log/moored";
  std::string listen_address = "127.0.0.1";
  int listen_port = 6446;          // 0: any free one
  std::string tls_certificate;     // empty: plain HTTP, on loopback only
  std::string tls_key;
  std::string client_ca;           // empty: clients' certificates are not asked for
  std::string token_file;          // empty: everybody who reaches the API may read
  net::api::TransportLimits api_limits;
  std::string node_name;           // default: the host's name
  std::string pod_cidr;            // empty: 10.209.0.0/16, or the next that is free
  std::string service_cidr;        // empty: beside the pods'
  std::string cgroup_root;         // empty: /moored-<instance>
  std::string cgroup_parent;       // where cgroup_root is put by default, if the machine has it
  std::string libexec_dir;         // empty: beside the program, else /usr/libexec/moored
  bool allow_local_sources = false;
  std::string source_user;         // that Git workers run as; empty: moored-git if there is one
  DriftMode drift = DriftMode::correct;  // of objects that do not say it themselves
  std::string git_secret;          // names of Secrets of the configured source
  std::string git_proxy_secret;
  std::string git_ignore;
  std::string secrets_dir = "/etc/moored/secrets";
  bool fast_forward_only = false;  // of every source
  std::map<std::string, git::SourceRights> source_rights;
  AdmissionPolicy policy;
  std::map<std::string, AdmissionPolicy::Level> source_floors;  // by namespace/name of the source
  image::PullingStoreOptions images;
  image::GarbageSettings image_garbage;
};

// Flags of `moored run`; absent ones leave the file's value.
struct ConfigurationFlags {
  std::string config;              // path of the file; empty: the default one, if it exists
  std::optional<std::string> git, branch, path, interval;
  std::optional<std::string> state_dir, run_dir, log_dir, listen;
  std::optional<std::string> tls_cert, tls_key, client_ca, token_file;
  std::optional<std::string> node_name, pod_cidr, service_cidr, cgroup_root, cgroup_parent;
  std::optional<std::string> libexec_dir;
  std::optional<std::string> drift;         // off, report or correct
  std::optional<std::string> pod_security;  // level of the default
};

// Reads the text of moored.yaml. All its errors come in one, with file:line:column.
Result<ConfigurationFile> read_configuration_file(std::string_view text, const std::string& file);
// Lays flags over the file and checks the whole.
// Errors: invalid (reason ConfigInvalid), naming the flag or the field.
Result<Configuration> merge_configuration(const ConfigurationFile& file,
                                          const ConfigurationFlags& flags);
// The file named by the flags, or the default one if it exists, merged with the flags.
Result<Configuration> load_configuration(const ConfigurationFlags& flags);

}  // namespace moored
