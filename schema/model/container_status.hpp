// What a container reports: the state of its current and its last attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schema/base/time.hpp"
#include "schema/model/declare.hpp"

namespace moored {

// It has not been started, or waits to be started again.
struct ContainerStateWaiting {
  std::string reason;
  std::string message;
  bool operator==(const ContainerStateWaiting&) const = default;
};
// Its process runs.
struct ContainerStateRunning {
  std::optional<Time> started_at;
  bool operator==(const ContainerStateRunning&) const = default;
};
// It ended. exit_code is 128 + signal when a signal ended it.
struct ContainerStateTerminated {
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  std::string reason;
  std::string message;
  std::optional<Time> started_at;
  std::optional<Time> finished_at;
  std::string container_id;
  bool operator==(const ContainerStateTerminated&) const = default;
};
// At most one of the three is set.
struct ContainerState {
  std::optional<ContainerStateWaiting> waiting;
  std::optional<ContainerStateRunning> running;
  std::optional<ContainerStateTerminated> terminated;
  bool operator==(const ContainerState&) const = default;
};
// What one container of a pod reports. restart_count is the number of attempts less one.
struct ContainerStatus {
  std::string name;
  ContainerState state;
  ContainerState last_state;
  bool ready = false;
  std::int32_t restart_count = 0;
  std::string image;
  std::string image_id;      // JSON name: imageID
  std::string container_id;  // JSON name: containerID; moored://<64 hex>
  std::optional<bool> started;
  bool operator==(const ContainerStatus&) const = default;
};

template <> const TypeSchema& schema_of<ContainerStateWaiting>();
template <> const TypeSchema& schema_of<ContainerStateRunning>();
template <> const TypeSchema& schema_of<ContainerStateTerminated>();
template <> const TypeSchema& schema_of<ContainerState>();
template <> const TypeSchema& schema_of<ContainerStatus>();

}  // namespace moored
