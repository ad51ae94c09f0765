#include "runtime/container/probe_words.hpp"

namespace moored::container {
namespace {

const char* probe_word(ProbeRequest::Type type) {
  switch (type) {
    case ProbeRequest::Type::exec:
      return "exec";
    case ProbeRequest::Type::http:
      return "http";
    case ProbeRequest::Type::tcp:
      return "tcp";
    case ProbeRequest::Type::grpc:
      return "grpc";
  }
  return "";
}

}  // namespace

shim::Record write_probe(const ProbeRequest& request) {
  shim::Record record;
  record.set("op", "PROBE").set("type", probe_word(request.type));
  record.set("container", request.container).set("command", request.command);
  record.set("host", request.host).set("port", request.port).set("path", request.path);
  record.set("https", request.https).set("service", request.service);
  record.set("timeoutMillis", static_cast<std::int64_t>(request.timeout.count()));
  std::vector<std::string> headers;
  for (const auto& header : request.headers)
    headers.push_back(header.first + ": " + header.second);
  record.set("headers", headers);
  return record;
}

ProbeResult read_probe(const shim::Record& answer) {
  ProbeResult result;
  const auto& word = answer.text_of("outcome");
  if (word == "success") result.outcome = ProbeResult::Outcome::success;
  if (word == "failure") result.outcome = ProbeResult::Outcome::failure;
  result.output = answer.text_of("output");
  result.exit_code = static_cast<int>(answer.number_of("exitCode"));
  return result;
}

}  // namespace moored::container
