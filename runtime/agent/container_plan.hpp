// From a container's manifest and its image to a process in numbers, paths and bytes. Pure.
#pragma once

#include <string>
#include <vector>

#include "runtime/agent/environment.hpp"
#include "runtime/agent/users.hpp"
#include "schema/ports/image_store.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// The default bounding set of a container.
// Source: CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
// NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE.
inline constexpr std::uint64_t kDefaultCapabilities = 0xa80425fb;
// Every capability that the kernel names (CAP_LAST_CAP is CHECKPOINT_RESTORE, 40).
inline constexpr std::uint64_t kAllCapabilities = (1ULL << 41U) - 1;

// argv: command and args of the pod against Entrypoint and Cmd of the image, with $(NAME) expanded.
// Errors: invalid with reason CreateContainerError (nothing to run).
Result<std::vector<std::string>> make_arguments(const Container& container,
                                                const ImageReport& image,
                                                const std::map<std::string, std::string>& env);

// Adds and drops names, with or without CAP_, in any case, ALL included.
// Errors: invalid with reason CreateContainerConfigError (an unknown name).
Result<std::uint64_t> make_capabilities(const Capabilities& capabilities);

// Who the process is. container value beats pod value beats image.
struct Identity {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary, the primary one included, sorted
  std::string home = "/";
};
// Errors: invalid with reason CreateContainerConfigError (runAsNonRoot violated or not provable),
// CreateContainerError (unknown user).
Result<Identity> make_identity(const PodSpec& pod, const Container& container,
                               const ImageReport& image, const AccountFiles& files);

// NAME=value lines: the image's, then the pod's; PATH, HOME and HOSTNAME when nobody sets them.
std::vector<std::string> make_environment_lines(const ImageReport& image,
                                                const Environment& environment,
                                                const std::string& home,
                                                const std::string& hostname);

// Number of a stop signal by name (SIGTERM, TERM) or number; 15 when empty or unknown.
int parse_stop_signal(const std::string& text);

// What a container start is made from.
struct ContainerInputs {
  const Pod& pod;
  const Container& container;
  const ImageReport& image;
  const AccountFiles& accounts;
  const Environment& environment;
  std::string hostname;
  std::int64_t node_memory_bytes = 0;
  int attempt = 0;
  std::string container_id;
  std::string log_path;
};

// Everything of a container but its mounts.
// Errors: those of the functions above.
Result<ContainerSpec> make_container_spec(const ContainerInputs& inputs);

}  // namespace moored::agent
