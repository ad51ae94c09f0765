// How a container is asked about its health, and what runs around its life.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/model/declare.hpp"
#include "schema/model/quantity.hpp"

namespace moored {

// A header that an HTTP probe or hook sends.
struct HttpHeader {
  std::string name;
  std::string value;
  bool operator==(const HttpHeader&) const = default;
};
// A program and its arguments, run in the container without a shell.
struct ExecAction {
  std::vector<std::string> command;
  bool operator==(const ExecAction&) const = default;
};
// An HTTP request to the pod. Statuses 200 to 399 count as success of a probe.
struct HttpGetAction {
  std::string path;
  IntOrString port;
  std::string host;
  std::string scheme;  // HTTP or HTTPS
  std::vector<HttpHeader> http_headers;
  bool operator==(const HttpGetAction&) const = default;
};
// A TCP connection to the pod that is opened and closed.
struct TcpSocketAction {
  IntOrString port;
  std::string host;
  bool operator==(const TcpSocketAction&) const = default;
};
// A question to the gRPC health service of the pod.
struct GrpcAction {
  std::int32_t port = 0;
  std::string service;
  bool operator==(const GrpcAction&) const = default;
};
// A pause instead of a program, for preStop.
struct SleepAction {
  std::int64_t seconds = 0;
  bool operator==(const SleepAction&) const = default;
};

// How and how often a container is asked. Exactly one action is set; times are whole seconds.
struct Probe {
  std::optional<ExecAction> exec;
  std::optional<HttpGetAction> http_get;
  std::optional<TcpSocketAction> tcp_socket;
  std::optional<GrpcAction> grpc;
  std::int32_t initial_delay_seconds = 0;
  std::int32_t timeout_seconds = 1;
  std::int32_t period_seconds = 10;
  std::int32_t success_threshold = 1;
  std::int32_t failure_threshold = 3;
  std::optional<std::int64_t> termination_grace_period_seconds;
  bool operator==(const Probe&) const = default;
};

// One hook. Exactly one action is set.
struct LifecycleHandler {
  std::optional<ExecAction> exec;
  std::optional<HttpGetAction> http_get;
  std::optional<TcpSocketAction> tcp_socket;
  std::optional<SleepAction> sleep;
  bool operator==(const LifecycleHandler&) const = default;
};
// The hooks of a container. preStop counts against the grace period of the pod.
struct Lifecycle {
  std::optional<LifecycleHandler> post_start;
  std::optional<LifecycleHandler> pre_stop;
  bool operator==(const Lifecycle&) const = default;
};

template <> const TypeSchema& schema_of<HttpHeader>();
template <> const TypeSchema& schema_of<ExecAction>();
template <> const TypeSchema& schema_of<HttpGetAction>();
template <> const TypeSchema& schema_of<TcpSocketAction>();
template <> const TypeSchema& schema_of<GrpcAction>();
template <> const TypeSchema& schema_of<SleepAction>();
template <> const TypeSchema& schema_of<Probe>();
template <> const TypeSchema& schema_of<LifecycleHandler>();
template <> const TypeSchema& schema_of<Lifecycle>();

}  // namespace moored
