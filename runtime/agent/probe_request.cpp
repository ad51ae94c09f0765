#include "runtime/agent/probe_request.hpp"

#include <algorithm>

#include "runtime/agent/environment.hpp"
#include "schema/ports/fact.hpp"

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

// What a cgroup makes of a cpu request.
// Source: shares = milli * 1024 / 1000 in [2, 262144].
std::int64_t to_shares(std::int64_t milli) {
  return std::clamp<std::int64_t>(milli * 1024 / 1000, 2, 262144);
}

// cgroup v2 keeps a weight, from which shares cannot be read back exactly.
bool is_rounding(std::int64_t want, std::int64_t have) {
  const std::int64_t difference = want > have ? want - have : have - want;
  return difference <= 2 || difference * 100 <= want * 5;
}

// A limit as cgroup files write it.
std::string write_limit(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "max";
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

std::vector<DriftRecord> compare_limits(const std::string& container, const CgroupLimits& desired,
                                        const CgroupLimits& observed) {
  std::vector<DriftRecord> drift;
  const auto add = [&](const char* field, const std::string& want, const std::string& have) {
    if (want == have) return;
    DriftRecord record;
    record.field = container.empty() ? field : field + std::string("[") + container + "]";
    record.desired = want;
    record.observed = have;
    record.correction = "cgroup value written again";
    drift.push_back(std::move(record));
  };
  add("cgroup.memory.max", write_limit(desired.memory_limit_bytes),
      write_limit(observed.memory_limit_bytes));
  add("cgroup.cpu.max", write_limit(desired.cpu_limit_milli),
      write_limit(observed.cpu_limit_milli));
  add("cgroup.pids.max", write_limit(desired.pids_limit), write_limit(observed.pids_limit));
  // Compared as shares, whatever file they are kept in; small differences are rounding.
  const std::int64_t want = to_shares(desired.cpu_request_milli);
  const std::int64_t have = to_shares(observed.cpu_request_milli);
  if (!is_rounding(want, have)) {
    add("cgroup.cpu.shares", std::to_string(want), std::to_string(have));
  }
  return drift;
}

}  // namespace moored::agent
