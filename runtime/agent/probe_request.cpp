#include "runtime/agent/probe_request.hpp"

#include <algorithm>

#include "runtime/agent/environment.hpp"

namespace moored::agent {
namespace {

constexpr int kMaxPort = 65535;

// $(NAME) of commands expands only from plain values, as for probes in Kubernetes.
std::vector<std::string> expand_command(const Container& container,
                                        const std::vector<std::string>& command) {
  std::map<std::string, std::string> values;
  for (const auto& variable : container.env) {
    if (!variable.value_from) values[variable.name] = expand(variable.value, values);
  }
  std::vector<std::string> words;
  for (const auto& word : command) words.push_back(expand(word, values));
  return words;
}

// What probes and hooks have in common.
struct Handlers {
  const std::optional<ExecAction>& exec;
  const std::optional<HttpGetAction>& http_get;
  const std::optional<TcpSocketAction>& tcp_socket;
};

// An empty host means the pod itself, by its address as in Kubernetes.
Status fill_request(const Container& container, const Handlers& handlers,
                    const std::string& address, ProbeRequest& request) {
  request.container = container.name;
  if (handlers.exec) {
    request.type = ProbeRequest::Type::exec;
    request.command = expand_command(container, handlers.exec->command);
    return {};
  }
  if (handlers.http_get) {
    const HttpGetAction& http = *handlers.http_get;
    request.type = ProbeRequest::Type::http;
    request.host = http.host.empty() ? address : http.host;
    request.path = http.path.empty() ? "/" : http.path;
    request.https = http.scheme == "HTTPS";
    for (const auto& header : http.http_headers) {
      request.headers.emplace_back(header.name, header.value);
    }
    MOORED_TRY(request.port, find_port(container, http.port));
    return {};
  }
  if (handlers.tcp_socket) {
    request.type = ProbeRequest::Type::tcp;
    request.host = handlers.tcp_socket->host.empty() ? address : handlers.tcp_socket->host;
    MOORED_TRY(request.port, find_port(container, handlers.tcp_socket->port));
    return {};
  }
  return fail(Code::invalid, "the probe or hook of container " + container.name + " does nothing");
}

}  // namespace

// A name means a port of the same container; numbers need not be declared.
Result<int> find_port(const Container& container, const IntOrString& port) {
  int number = port.number;
  if (port.is_string) {
    const auto named = std::find_if(container.ports.begin(), container.ports.end(),
                                    [&](const ContainerPort& p) { return p.name == port.text; });
    if (named == container.ports.end()) {
      return fail(Code::invalid, "container " + container.name + " names no port " + port.text);
    }
    number = named->container_port;
  }
  if (number < 1 || number > kMaxPort) {
    return fail(Code::invalid, "port " + std::to_string(number) + " is out of range");
  }
  return number;
}

Result<ProbeRequest> make_probe_request(const Container& container, const Probe& probe,
                                        const std::string& address) {
  ProbeRequest request;
  request.timeout = std::chrono::seconds(std::max(probe.timeout_seconds, 1));
  if (probe.grpc) {
    request.type = ProbeRequest::Type::grpc;
    request.container = container.name;
    request.host = address;
    request.port = probe.grpc->port;
    request.service = probe.grpc->service;
    return request;
  }
  MOORED_CHECK(
      fill_request(container, {probe.exec, probe.http_get, probe.tcp_socket}, address, request));
  return request;
}

// No time-out of its own in the manifest: what is left of the grace time bounds a preStop.
Result<ProbeRequest> make_hook_request(const Container& container, const LifecycleHandler& hook,
                                       const std::string& address, Duration timeout) {
  ProbeRequest request;
  request.timeout = timeout > Duration{}
                        ? std::chrono::duration_cast<std::chrono::milliseconds>(timeout)
                        : std::chrono::milliseconds(kPostStartLimit);
  MOORED_CHECK(
      fill_request(container, {hook.exec, hook.http_get, hook.tcp_socket}, address, request));
  return request;
}

}  // namespace moored::agent
