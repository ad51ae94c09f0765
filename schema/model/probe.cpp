#include "schema/model/probe.hpp"

#include "schema/model/checks.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "runtime/agent";
constexpr std::array<std::string_view, 2> kSchemes{"HTTP", "HTTPS"};
constexpr std::string_view kOwnAddress = "leave the host out: the pod's own address is meant";

// Probes and hooks reach the pod itself only.
std::optional<Error> check_probe_host(std::string_view host) {
  if (host == "localhost" || host == "127.0.0.1") return std::nullopt;
  return invalid_value("probes and hooks of " + quoted(host) + " are not allowed",
                       std::string(kOwnAddress));
}

// A header's name is a token and its value has no control character.
void check_header(const void* object, std::vector<Error>& errors) {
  const auto& header = *static_cast<const HttpHeader*>(object);
  constexpr std::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (header.name.empty() || header.name.find_first_not_of(kToken) != std::string::npos) {
    add_at(errors, "name", invalid_value(quoted(header.name) + " is not a header name"));
  }
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(header.value.begin(), header.value.end(), control)) {
    add_at(errors, "value", invalid_value("the header value holds a control character"));
  }
}

// Kubernetes would take the first; which one was meant cannot be known.
void check_one_action(int actions, std::string_view words, std::vector<Error>& errors) {
  if (actions == 1) return;
  add_at(errors, "", invalid_value(actions == 0 ? "no action is given"
                                                : std::to_string(actions) + " actions are given",
                                   "give exactly one of " + std::string(words)));
}

// The four actions of probes.
void check_probe(const void* object, std::vector<Error>& errors) {
  const auto& probe = *static_cast<const Probe*>(object);
  const int actions = int{probe.exec.has_value()} + int{probe.http_get.has_value()} +
                      int{probe.tcp_socket.has_value()} + int{probe.grpc.has_value()};
  check_one_action(actions, "exec, httpGet, tcpSocket and grpc", errors);
}

// The four actions of hooks; tcpSocket is accepted for old manifests.
void check_hook(const void* object, std::vector<Error>& errors) {
  const auto& hook = *static_cast<const LifecycleHandler*>(object);
  const int actions = int{hook.exec.has_value()} + int{hook.http_get.has_value()} +
                      int{hook.tcp_socket.has_value()} + int{hook.sleep.has_value()};
  check_one_action(actions, "exec, httpGet and sleep", errors);
}

// An empty command would succeed or fail depending on the runtime.
std::optional<Error> check_command(const void* value) {
  if (!static_cast<const std::vector<std::string>*>(value)->empty()) return std::nullopt;
  return invalid_value("the command is empty", "list the program and its arguments");
}

// The path goes into the request line as it is written.
std::optional<Error> check_url_path(std::string_view path) {
  const auto bad = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; };
  if (std::none_of(path.begin(), path.end(), bad)) return std::nullopt;
  return invalid_value("the path " + quoted(path) + " holds a blank or control character",
                       "write it percent-encoded");
}

}  // namespace

// Source: core/v1 HTTPHeader. The name is a token and the value one line, so that nothing else
// can be put into the request.
template <>
const TypeSchema& schema_of<HttpHeader>() {
  using T = HttpHeader;
  static constexpr Field kFields[] = {
      field<&T::name>("name", {.flags = kRequired, .carried_by = kBy, .doc = "Header name."}),
      field<&T::value>("value", {.flags = kKeepZero, .carried_by = kBy, .doc = "Header value."}),
  };
  static constexpr TypeSchema kSchema{"HTTPHeader", kFields, &check_header};
  return kSchema;
}

template <>
const TypeSchema& schema_of<ExecAction>() {
  using T = ExecAction;
  static constexpr Field kFields[] = {
      field<&T::command>("command", {.flags = kRequired,
                                     .check = &check_command,
                                     .carried_by = kBy,
                                     .doc = "Program and arguments; no shell is involved."}),
  };
  static constexpr TypeSchema kSchema{"ExecAction", kFields};
  return kSchema;
}

// Source: core/v1 HTTPGetAction, with its defaults of path and scheme.
template <>
const TypeSchema& schema_of<HttpGetAction>() {
  using T = HttpGetAction;
  static constexpr Field kFields[] = {
      field<&T::path>("path", {.fallback = "\"/\"",
                               .check = &text_check<&check_url_path>,
                               .carried_by = kBy,
                               .doc = "Path and query of the request."}),
      field<&T::port>("port", {.flags = kRequired,
                               .check = &port_reference_check,
                               .carried_by = kBy,
                               .doc = "Port by number or by the name of a container port."}),
      field<&T::host>("host", {.check = &text_check<&check_probe_host>,
                               .carried_by = kBy,
                               .doc = "The pod itself when left out."}),
      field<&T::scheme>("scheme", {.fallback = "\"HTTP\"",
                                   .check = &words_check<kSchemes>,
                                   .carried_by = kBy,
                                   .doc = "HTTP or HTTPS; certificates are not verified."}),
      field<&T::http_headers>("httpHeaders", {.carried_by = kBy, .doc = "Headers to send."}),
  };
  static constexpr TypeSchema kSchema{"HTTPGetAction", kFields};
  return kSchema;
}

// Source: core/v1 TCPSocketAction.
template <>
const TypeSchema& schema_of<TcpSocketAction>() {
  using T = TcpSocketAction;
  static constexpr Field kFields[] = {
      field<&T::port>("port", {.flags = kRequired,
                               .check = &port_reference_check,
                               .carried_by = kBy,
                               .doc = "Port by number or by the name of a container port."}),
      field<&T::host>("host", {.check = &text_check<&check_probe_host>,
                               .carried_by = kBy,
                               .doc = "The pod itself when left out."}),
  };
  static constexpr TypeSchema kSchema{"TCPSocketAction", kFields};
  return kSchema;
}

// Source: core/v1 GRPCAction. The service is empty and not absent after defaulting.
template <>
const TypeSchema& schema_of<GrpcAction>() {
  using T = GrpcAction;
  static constexpr Field kFields[] = {
      field<&T::port>("port", {.flags = kRequired, .check = kPort, .carried_by = kBy,
                               .doc = "Port number of the health service."}),
      field<&T::service>("service", {.flags = kKeepZero, .fallback = "\"\"", .carried_by = kBy,
                                     .doc = "Service name in the health request."}),
  };
  static constexpr TypeSchema kSchema{"GRPCAction", kFields};
  return kSchema;
}

// Source: core/v1 SleepAction. Zero seconds are allowed since 1.32.
template <>
const TypeSchema& schema_of<SleepAction>() {
  using T = SleepAction;
  static constexpr Field kFields[] = {
      field<&T::seconds>("seconds", {.flags = kRequired | kKeepZero, .check = kNatural64,
                                     .carried_by = kBy, .doc = "How long to wait."}),
  };
  static constexpr TypeSchema kSchema{"SleepAction", kFields};
  return kSchema;
}

// Source: core/v1 Probe and its defaults: 10 s, 1 s, one success, three failures. Zero means the
// default for all of them but the delay.
template <>
const TypeSchema& schema_of<Probe>() {
  using T = Probe;
  static constexpr Field kFields[] = {
      field<&T::exec>("exec", {.carried_by = kBy, .doc = "Run a program; 0 means success."}),
      field<&T::http_get>("httpGet", {.carried_by = kBy, .doc = "Ask by HTTP; 200 to 399 passes."}),
      field<&T::tcp_socket>("tcpSocket", {.carried_by = kBy, .doc = "Open a TCP connection."}),
      field<&T::grpc>("grpc", {.carried_by = kBy, .doc = "Ask the gRPC health service."}),
      field<&T::initial_delay_seconds>("initialDelaySeconds",
                                       {.check = kNatural32, .carried_by = kBy,
                                        .doc = "Seconds after the start before the first try."}),
      field<&T::timeout_seconds>("timeoutSeconds", {.fallback = "1", .check = kPositive32,
                                                    .carried_by = kBy,
                                                    .doc = "Seconds after which a try fails."}),
      field<&T::period_seconds>("periodSeconds", {.fallback = "10", .check = kPositive32,
                                                  .carried_by = kBy,
                                                  .doc = "Seconds between tries."}),
      field<&T::success_threshold>("successThreshold",
                                   {.fallback = "1", .check = kPositive32, .carried_by = kBy,
                                    .doc = "Successes in a row that count as success."}),
      field<&T::failure_threshold>("failureThreshold",
                                   {.fallback = "3", .check = kPositive32, .carried_by = kBy,
                                    .doc = "Failures in a row that count as failure."}),
      field<&T::termination_grace_period_seconds>(
          "terminationGracePeriodSeconds",
          {.check = kPositive64, .carried_by = kBy,
           .doc = "Grace for the kill that a failure brings; the pod's own when left out."}),
  };
  static constexpr TypeSchema kSchema{"Probe", kFields, &check_probe};
  return kSchema;
}

// Source: core/v1 LifecycleHandler.
template <>
const TypeSchema& schema_of<LifecycleHandler>() {
  using T = LifecycleHandler;
  static constexpr Field kFields[] = {
      field<&T::exec>("exec", {.carried_by = kBy, .doc = "Run a program in the container."}),
      field<&T::http_get>("httpGet", {.carried_by = kBy, .doc = "Send an HTTP request."}),
      field<&T::tcp_socket>("tcpSocket", {.carried_by = kBy,
                                          .doc = "Open a TCP connection; outdated."}),
      field<&T::sleep>("sleep", {.carried_by = kBy, .doc = "Wait."}),
  };
  static constexpr TypeSchema kSchema{"LifecycleHandler", kFields, &check_hook};
  return kSchema;
}

// Source: core/v1 Lifecycle.
template <>
const TypeSchema& schema_of<Lifecycle>() {
  using T = Lifecycle;
  static constexpr Field kFields[] = {
      field<&T::post_start>("postStart", {.carried_by = kBy,
                                          .doc = "Runs right after the start, beside it."}),
      field<&T::pre_stop>("preStop", {.carried_by = kBy,
                                      .doc = "Runs before the stop signal, within the grace."}),
      refused("stopSignal", "set STOPSIGNAL in the image instead"),
  };
  static constexpr TypeSchema kSchema{"Lifecycle", kFields};
  return kSchema;
}

}  // namespace moored
