#include "reconciler/daemon/api_access.hpp"

#include <unistd.h>

#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"

namespace moored {

Result<std::string> open_access(const Configuration& configuration, Random& random,
                                net::ApiOptions& options) {
  if (configuration.tls_certificate.empty()) return std::string();
  auto tls = net::api::TlsSource::open(
      {configuration.tls_certificate, configuration.tls_key, configuration.client_ca});
  if (!tls) return Unexpected(std::move(tls).error().context("--tls-cert"));
  options.tls = *std::move(tls);
  if (configuration.token_file.empty() && configuration.client_ca.empty()) return std::string();
  std::unique_ptr<net::api::TokenFile> tokens;
  if (!configuration.token_file.empty()) {
    auto opened = net::api::TokenFile::open(configuration.token_file);
    if (!opened) return Unexpected(std::move(opened).error().context("--token-file"));
    tokens = *std::move(opened);
  }
  auto local = net::api::make_token(random);
  options.access = std::make_shared<net::api::Access>(std::move(tokens), local);
  return local;
}

std::string format_listen(const std::string& address, int port) {
  const bool six = address.find(':') != std::string::npos;
  return (six ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Status write_api_files(const Configuration& configuration, const std::string& listen,
                       const std::string& local_token) {
  // A token of an earlier run opens nothing any more.
  const auto token_path = configuration.run_dir + "/api.token";
  if (local_token.empty()) {
    ::unlink(token_path.c_str());
  } else {
    MOORED_CHECK(write_file_durably(token_path, local_token + "\n", 0600));
  }
  Value file = Value::make_map();
  file.put("listen", Value::of_text(listen));
  if (!configuration.tls_certificate.empty()) {
    file.put("certificate", Value::of_text(configuration.tls_certificate));
  }
  return write_file_durably(configuration.run_dir + "/api.json", write_json(file) + "\n", 0644);
}

}  // namespace moored
