#include "schema/model/container_status.hpp"

#include "schema/model/checks.hpp"

namespace moored {
namespace {
constexpr std::string_view kBy = "runtime/agent";
}

template <>
const TypeSchema& schema_of<ContainerStateWaiting>() {
  using T = ContainerStateWaiting;
  static constexpr Field kFields[] = {
      field<&T::reason>("reason", {.carried_by = kBy, .doc = "One word saying why it waits."}),
      field<&T::message>("message", {.carried_by = kBy, .doc = "A sentence saying why."}),
  };
  static constexpr TypeSchema kSchema{"ContainerStateWaiting", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<ContainerStateRunning>() {
  using T = ContainerStateRunning;
  static constexpr Field kFields[] = {
      field<&T::started_at>("startedAt", {.carried_by = kBy, .doc = "When it was started."}),
  };
  static constexpr TypeSchema kSchema{"ContainerStateRunning", kFields};
  return kSchema;
}

// Source: core/v1 ContainerStateTerminated.
template <>
const TypeSchema& schema_of<ContainerStateTerminated>() {
  using T = ContainerStateTerminated;
  static constexpr Field kFields[] = {
      field<&T::exit_code>("exitCode", {.flags = kKeepZero, .carried_by = kBy,
                                        .doc = "Exit code, 128 + signal when killed by one."}),
      field<&T::signal>("signal", {.carried_by = kBy, .doc = "Signal that ended it."}),
      field<&T::reason>("reason", {.carried_by = kBy, .doc = "Completed, Error, OOMKilled, ..."}),
      field<&T::message>("message", {.carried_by = kBy, .doc = "The termination message."}),
      field<&T::started_at>("startedAt", {.carried_by = kBy, .doc = "When it was started."}),
      field<&T::finished_at>("finishedAt", {.carried_by = kBy, .doc = "When it ended."}),
      field<&T::container_id>("containerID", {.carried_by = kBy, .doc = "Id of the attempt."}),
  };
  static constexpr TypeSchema kSchema{"ContainerStateTerminated", kFields};
  return kSchema;
}

// Source: core/v1 ContainerState.
template <>
const TypeSchema& schema_of<ContainerState>() {
  using T = ContainerState;
  static constexpr Field kFields[] = {
      field<&T::waiting>("waiting", {.carried_by = kBy, .doc = "It has not been started."}),
      field<&T::running>("running", {.carried_by = kBy, .doc = "It runs."}),
      field<&T::terminated>("terminated", {.carried_by = kBy, .doc = "It has ended."}),
  };
  static constexpr TypeSchema kSchema{"ContainerState", kFields};
  return kSchema;
}

// Source: core/v1 ContainerStatus. Clients act on ready and restartCount, so both are written
// also when they are zero.
template <>
const TypeSchema& schema_of<ContainerStatus>() {
  using T = ContainerStatus;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kKeepZero, .carried_by = kBy,
                               .doc = "Name of the container."}),
      field<&T::state>("state", {.carried_by = kBy, .doc = "State of the current attempt."}),
      field<&T::last_state>("lastState", {.flags = kKeepZero, .carried_by = kBy,
                                          .doc = "How the attempt before it ended."}),
      field<&T::ready>("ready", {.flags = kKeepZero, .carried_by = kBy,
                                 .doc = "Whether it is ready to serve."}),
      field<&T::restart_count>("restartCount", {.flags = kKeepZero, .carried_by = kBy,
                                                .doc = "Attempts after the first."}),
      field<&T::image>("image", {.flags = kKeepZero, .carried_by = kBy,
                                 .doc = "Image name as resolved."}),
      field<&T::image_id>("imageID", {.flags = kKeepZero, .carried_by = kBy,
                                      .doc = "Digest of the image that runs."}),
      field<&T::container_id>("containerID", {.carried_by = kBy,
                                              .doc = "Id of the attempt: moored://<64 hex>."}),
      field<&T::started>("started", {.carried_by = kBy,
                                     .doc = "Whether the startup probe has passed."}),
  };
  static constexpr TypeSchema kSchema{"ContainerStatus", kFields};
  return kSchema;
}

}  // namespace moored
