// Certificate and key of the API, and who signs the certificates of its clients.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "schema/base/result.hpp"

namespace moored::net::api {

// Files in PEM. The key must belong to this process's user and be readable by nobody else.
struct TlsFiles {
  std::string certificate;  // the server's own first, then what signed it
  std::string key;
  std::string client_ca;  // empty: clients' certificates are not asked for
};

// What one TLS handshake needs; never changes. Thread safe.
class Tls {
 public:
  // Errors: not_found, denied (KeyExposed: others can read the key), invalid (a file is not what it
  // should be, or key and certificate do not belong together).
  static Result<std::shared_ptr<const Tls>> load(const TlsFiles& files);
  virtual ~Tls() = default;

  // The library's context: an asio::ssl::context.
  virtual void* context() const = 0;
  // DNS names and addresses that the certificate is for; *.name stands for one more label.
  virtual const std::vector<std::string>& names() const = 0;
  // The server's own certificate in PEM.
  virtual const std::string& certificate() const = 0;
};

// Loads the files again when they change, so that a renewed certificate needs no restart.
// Thread safe.
class TlsSource {
 public:
  // Errors: those of Tls::load.
  static Result<std::unique_ptr<TlsSource>> open(TlsFiles files);
  ~TlsSource();
  // What the files hold now; what they held before while they cannot be loaded, which is logged
  // once. Looks at the files at most once a second.
  std::shared_ptr<const Tls> get();

 private:
  struct State;
  explicit TlsSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net::api
