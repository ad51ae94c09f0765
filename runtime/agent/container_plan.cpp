#include "runtime/agent/container_plan.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <set>

#include "runtime/agent/resources.hpp"

namespace moored::agent {
namespace {

constexpr const char* kConfigError = "CreateContainerConfigError";
constexpr const char* kCreateError = "CreateContainerError";
constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::int64_t kMaxId = 0x7fffffff;

// Names by number, as linux/capability.h orders them.
constexpr std::array<std::string_view, 41> kCapabilityNames = {
    "CHOWN",          "DAC_OVERRIDE",   "DAC_READ_SEARCH", "FOWNER",
    "FSETID",         "KILL",           "SETGID",          "SETUID",
    "SETPCAP",        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_ADMIN",      "NET_RAW",        "IPC_LOCK",        "IPC_OWNER",
    "SYS_MODULE",     "SYS_RAWIO",      "SYS_CHROOT",      "SYS_PTRACE",
    "SYS_PACCT",      "SYS_ADMIN",      "SYS_BOOT",        "SYS_NICE",
    "SYS_RESOURCE",   "SYS_TIME",       "SYS_TTY_CONFIG",  "MKNOD",
    "LEASE",          "AUDIT_WRITE",    "AUDIT_CONTROL",   "SETFCAP",
    "MAC_OVERRIDE",   "MAC_ADMIN",      "SYSLOG",          "WAKE_ALARM",
    "BLOCK_SUSPEND",  "AUDIT_READ",     "PERFMON",         "BPF",
    "CHECKPOINT_RESTORE"};

// An error of the manifest, with the reason that the container's status shows.
Unexpected wrong(const char* reason, std::string message) {
  return Unexpected(fail(Code::invalid, std::move(message)).take().because(reason));
}

// ASCII only: names of capabilities and signals.
std::string to_upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

// With or without CAP_, in any case, as both are found in manifests.
Result<std::uint64_t> read_capability(const std::string& written) {
  std::string name = to_upper(written);
  if (name == "ALL") return kAllCapabilities;
  if (name.rfind("CAP_", 0) == 0) name.erase(0, 4);
  const auto found = std::find(kCapabilityNames.begin(), kCapabilityNames.end(), name);
  if (found == kCapabilityNames.end()) {
    return wrong(kConfigError, "unknown capability \"" + written + "\"");
  }
  return 1ULL << static_cast<unsigned>(found - kCapabilityNames.begin());
}

// The container's value, else the pod's.
template <class T>
std::optional<T> choose(const std::optional<T>& own, const std::optional<T>& of_pod) {
  return own ? own : of_pod;
}

// An absent security context says nothing, like an empty one.
const SecurityContext& own_context(const Container& container) {
  static const SecurityContext kNone;
  return container.security_context ? *container.security_context : kNone;
}

// The same for the pod.
const PodSecurityContext& pod_context(const PodSpec& pod) {
  static const PodSecurityContext kNone;
  return pod.security_context ? *pod.security_context : kNone;
}

// The field's name goes into the message, since several fields may be at fault.
Result<std::uint32_t> read_id(std::int64_t id, const std::string& field) {
  if (id < 0 || id > kMaxId) return wrong(kConfigError, field + " is out of range");
  return static_cast<std::uint32_t>(id);
}

// runAsNonRoot holds only for a number that is not 0.
Status check_non_root(bool wanted, bool chosen_by_pod, const Account& account,
                      const std::string& image_user) {
  if (!wanted) return {};
  if (chosen_by_pod) {
    if (account.uid != 0) return {};
    return wrong(kConfigError, "container's runAsUser breaks non-root policy");
  }
  if (!account.numeric) {
    const std::string name = image_user.substr(0, image_user.find(':'));
    return wrong(kConfigError, "container has runAsNonRoot and image has non-numeric user (" +
                                   name + "), cannot verify user is non-root");
  }
  if (account.uid != 0) return {};
  return wrong(kConfigError, "container has runAsNonRoot and image will run as root");
}

// The seccomp profile that is in force. moored's default is RuntimeDefault.
std::string choose_seccomp(const PodSpec& pod, const Container& container) {
  if (own_context(container).privileged.value_or(false)) return "Unconfined";
  const auto profile =
      choose(own_context(container).seccomp_profile, pod_context(pod).seccomp_profile);
  return profile && profile->type == "Unconfined" ? "Unconfined" : "RuntimeDefault";
}

// Rights of the process: capabilities, privileges, paths, seccomp.
Status fill_security(const PodSpec& pod, const Container& container, ContainerSpec& spec) {
  const SecurityContext& own = own_context(container);
  spec.privileged = own.privileged.value_or(false);
  MOORED_TRY(spec.capabilities, make_capabilities(own.capabilities.value_or(Capabilities{})));
  if (spec.privileged) spec.capabilities = kAllCapabilities;
  // Escalation is implied by privileged; asking for both was refused with the manifest.
  spec.no_new_privileges = !spec.privileged && !own.allow_privilege_escalation.value_or(true);
  spec.read_only_root = own.read_only_root_filesystem.value_or(false);
  spec.mask_paths = !spec.privileged && own.proc_mount != "Unmasked";
  spec.seccomp_profile = choose_seccomp(pod, container);
  return {};
}

}  // namespace

Result<std::vector<std::string>> make_arguments(const Container& container,
                                                const ImageReport& image,
                                                const std::map<std::string, std::string>& env) {
  std::vector<std::string> arguments;
  for (const auto& word : container.command) arguments.push_back(expand(word, env));
  if (container.command.empty()) arguments = image.entrypoint;
  for (const auto& word : container.args) arguments.push_back(expand(word, env));
  // The image's CMD are arguments of its own ENTRYPOINT; a command of the container drops
  // both.
  const bool image_command = container.command.empty() && container.args.empty();
  if (image_command) {
    arguments.insert(arguments.end(), image.command.begin(), image.command.end());
  }
  if (arguments.empty()) {
    return wrong(kCreateError, "no command specified: neither the container nor image " +
                                   image.name + " says what to run");
  }
  return arguments;
}

Result<std::uint64_t> make_capabilities(const Capabilities& capabilities) {
  std::uint64_t set = kDefaultCapabilities;
  std::uint64_t added = 0;
  std::uint64_t dropped = 0;
  for (const auto& name : capabilities.add) {
    MOORED_TRY(const auto bits, read_capability(name));
    if (bits == kAllCapabilities) {
      set = kAllCapabilities;
    } else {
      added |= bits;
    }
  }
  for (const auto& name : capabilities.drop) {
    MOORED_TRY(const auto bits, read_capability(name));
    if (bits == kAllCapabilities) {
      set = 0;
    } else {
      dropped |= bits;
    }
  }
  return (set | added) & ~dropped;
}

Result<Identity> make_identity(const PodSpec& pod, const Container& container,
                               const ImageReport& image, const AccountFiles& files) {
  const SecurityContext& own = own_context(container);
  const PodSecurityContext& shared = pod_context(pod);
  const auto user = choose(own.run_as_user, shared.run_as_user);
  const auto group = choose(own.run_as_group, shared.run_as_group);
  const bool non_root = choose(own.run_as_non_root, shared.run_as_non_root).value_or(false);

  std::string wanted = image.user;
  if (user) {
    MOORED_TRY(const auto id, read_id(*user, "runAsUser"));
    wanted = std::to_string(id);
  }
  auto account = find_account(files, wanted);
  if (!account) return wrong(kCreateError, account.error().message);
  MOORED_CHECK(check_non_root(non_root, user.has_value(), *account, image.user));

  Identity identity{account->uid, account->gid, {}, account->home};
  if (group) {
    MOORED_TRY(identity.gid, read_id(*group, "runAsGroup"));
  }
  std::set<std::uint32_t> groups(account->groups.begin(), account->groups.end());
  // The primary group belongs to the set too, as after a login.
  groups.insert(identity.gid);
  for (const auto extra : shared.supplemental_groups) {
    MOORED_TRY(const auto id, read_id(extra, "supplementalGroups"));
    groups.insert(id);
  }
  // Files of volumes belong to this group; without membership they could not be read.
  if (shared.fs_group) {
    MOORED_TRY(const auto id, read_id(*shared.fs_group, "fsGroup"));
    groups.insert(id);
  }
  identity.groups.assign(groups.begin(), groups.end());
  return identity;
}

std::vector<std::string> make_environment_lines(const ImageReport& image,
                                                const Environment& environment,
                                                const std::string& home,
                                                const std::string& hostname) {
  std::vector<std::string> lines;
  const auto put = [&](const std::string& line, bool replace) {
    const std::string start = line.substr(0, line.find('=') + 1);
    for (auto& existing : lines) {
      if (existing.rfind(start, 0) != 0) continue;
      if (replace) existing = line;
      return;
    }
    lines.push_back(line);
  };
  for (const auto& line : image.environment) {
    if (line.find('=') != std::string::npos) put(line, true);
  }
  for (const auto& [name, value] : environment.variables) put(name + "=" + value, true);
  // Only where nothing else said so: a program without PATH finds no shell.
  put(kDefaultPath, false);
  put("HOME=" + home, false);
  put("HOSTNAME=" + hostname, false);
  return lines;
}

int parse_stop_signal(const std::string& text) {
  struct Row {
    std::string_view name;
    int number;
  };
  static constexpr Row kSignals[] = {
      {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ABRT", SIGABRT},
      {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},
      {"ALRM", SIGALRM}, {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH},
      // systemd as the first process stops on RTMIN+3; 34 is the first real-time signal of
      // glibc.
      {"PWR", SIGPWR},   {"RTMIN+3", 37}};
  std::string name = to_upper(text);
  const bool numeric = name.find_first_not_of("0123456789") == std::string::npos;
  if (numeric && !name.empty() && name.size() <= 2) {
    const int number = std::stoi(name);
    return number >= 1 && number <= 64 ? number : SIGTERM;
  }
  if (name.rfind("SIG", 0) == 0) name.erase(0, 3);
  for (const auto& row : kSignals) {
    if (row.name == name) return row.number;
  }
  // Unknown names are taken as the default: a strange STOPSIGNAL must not keep a pod from
  // starting.
  return SIGTERM;
}

Result<ContainerSpec> make_container_spec(const ContainerInputs& inputs) {
  const Container& container = inputs.container;
  ContainerSpec spec;
  spec.name = container.name;
  spec.attempt = inputs.attempt;
  spec.container_id = inputs.container_id;
  spec.lower_directories = inputs.image.layers;
  MOORED_TRY(spec.arguments,
             make_arguments(container, inputs.image, inputs.environment.by_name()));
  MOORED_TRY(auto identity,
             make_identity(inputs.pod.spec, container, inputs.image, inputs.accounts));
  spec.uid = identity.uid;
  spec.gid = identity.gid;
  spec.groups = std::move(identity.groups);
  spec.environment = make_environment_lines(inputs.image, inputs.environment, identity.home,
                                            inputs.hostname);
  spec.working_directory = container.working_dir;
  if (spec.working_directory.empty()) spec.working_directory = inputs.image.working_directory;
  if (spec.working_directory.empty()) spec.working_directory = "/";
  MOORED_CHECK(fill_security(inputs.pod.spec, container, spec));
  spec.limits = make_container_limits(container);
  spec.oom_score_adjust = get_oom_score(inputs.pod.spec, container, inputs.node_memory_bytes);
  spec.log_path = inputs.log_path;
  spec.termination_message_path = container.termination_message_path.empty()
                                      ? "/dev/termination-log"
                                      : container.termination_message_path;
  spec.tty = container.tty;
  spec.stdin_open = container.stdin_open;
  spec.stop_signal = parse_stop_signal(inputs.image.stop_signal);
  return spec;
}

}  // namespace moored::agent
