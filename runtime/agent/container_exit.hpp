// How the end of a container is recorded. Pure.
#pragma once

#include <string>

#include "schema/model/container.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::agent {

// The record of an attempt that ended: Completed, Error, OOMKilled, or StartError with code 128.
ContainerStateTerminated make_exit(const ContainerReport& report, Time now);
// The record of an attempt that vanished: 137, ContainerStatusUnknown.
ContainerStateTerminated make_lost_exit(const std::string& container_id,
                                        std::optional<Time> started_at, Time now);
// A container id as statuses write it, and back.
std::string write_container_id(const std::string& id);
std::string strip_container_id(const std::string& id);

}  // namespace moored::agent
