#include "reconciler/ctl/endpoint.hpp"

#include <cstdio>

#include "reconciler/ctl/members.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::ctl {
namespace {

constexpr const char* kDefaultServer = "http://127.0.0.1:6446";
constexpr std::size_t kMaxFile = 1U << 20U;
constexpr std::string_view kPemEnd = "-----END CERTIFICATE-----\n";

// What the daemon of run-dir wrote when it was bound. An unreadable file is no error here: the
// connection will say what is wrong.
struct Local {
  std::string listen;
  std::string certificate;  // path; empty: plain HTTP
};

Local read_local(const Options& options) {
  Local local;
  const auto text = read_file(options.run_dir + "/api.json", kMaxFile);
  const auto value = text ? read_json(*text) : Result<Value>(Value::make_map());
  if (!value || !value->is_map()) return local;
  local.listen = text_in(*value, "listen");
  local.certificate = text_in(*value, "certificate");
  return local;
}

// An address that means all is reached by loopback.
std::string local_url(const Local& local) {
  if (local.listen.empty()) return kDefaultServer;
  const auto colon = local.listen.rfind(':');
  std::string host = local.listen.substr(0, colon);
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  const std::string scheme = local.certificate.empty() ? "http://" : "https://";
  return scheme + host + local.listen.substr(colon);
}

std::string first_line(std::string text) {
  text.erase(std::min(text.find_first_of("\r\n"), text.size()));
  return text;
}

// From a file, or "-" from the terminal or a pipe, so that it never stands in the list of
// processes.
Result<std::string> read_token(const std::string& path) {
  if (path != "-") {
    MOORED_TRY(const auto text, read_file(path, kMaxFile));
    return first_line(text);
  }
  char line[4096] = {};
  if (std::fgets(line, sizeof line, stdin) == nullptr) {
    return fail(Code::invalid, "no token came in");
  }
  return first_line(line);
}

}  // namespace

std::string find_server(const Options& options) {
  return options.server.empty() ? local_url(read_local(options)) : options.server;
}

Result<Endpoint> find_endpoint(const Options& options) {
  Endpoint endpoint;
  const auto local = read_local(options);
  endpoint.url = options.server.empty() ? local_url(local) : options.server;
  endpoint.ca_file = options.ca_file;
  if (!options.token_file.empty()) {
    MOORED_TRY(endpoint.token, read_token(options.token_file));
  }
  if (!options.server.empty() || local.certificate.empty()) return endpoint;
  if (endpoint.ca_file.empty()) {
    MOORED_TRY(const auto chain, read_file(local.certificate, kMaxFile));
    const auto end = chain.find(kPemEnd);
    if (end != std::string::npos) endpoint.pin = chain.substr(0, end + kPemEnd.size());
  }
  if (endpoint.token.empty()) {
    if (auto token = read_file(options.run_dir + "/api.token", kMaxFile)) {
      endpoint.token = first_line(*std::move(token));
      endpoint.local_token = true;
    }
  }
  return endpoint;
}

Result<std::string> find_authority(const Options& options) {
  if (!options.ca_file.empty()) return read_file(options.ca_file, kMaxFile);
  const auto local = read_local(options);
  if (local.certificate.empty()) return std::string();
  return read_file(local.certificate, kMaxFile);
}

// The skip of TLS matters over plain HTTP for one client alone, which refuses that without it.
std::string make_kubeconfig(const Endpoint& endpoint, const std::string& authority) {
  const bool plain = endpoint.url.substr(0, 8) != "https://";
  const bool known = !endpoint.token.empty() && !endpoint.local_token;
  std::string out = "apiVersion: v1\nkind: Config\nclusters:\n- name: moored\n  cluster:\n";
  out += "    server: " + endpoint.url + "\n";
  if (plain) out += "    insecure-skip-tls-verify: true\n";
  if (!plain && !authority.empty()) {
    out += "    certificate-authority-data: " + base64_encode(authority) + "\n";
  }
  if (known) out += "users:\n- name: reader\n  user:\n    token: " + endpoint.token + "\n";
  out += "contexts:\n- name: moored\n  context: {cluster: moored, namespace: default, user: ";
  out += known ? "reader" : "\"\"";
  return out + "}\ncurrent-context: moored\n";
}

}  // namespace moored::ctl
