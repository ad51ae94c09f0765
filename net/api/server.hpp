// The API server: the read-only Kubernetes-compatible API on one address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/api/access.hpp"
#include "net/api/tls.hpp"
#include "net/api/transport.hpp"
#include "schema/base/result.hpp"
#include "schema/base/time.hpp"
#include "schema/ports/metrics.hpp"
#include "schema/ports/preview.hpp"
#include "schema/ports/reports.hpp"
#include "schema/ports/state_view.hpp"
#include "schema/ports/usage.hpp"

namespace moored::net {

struct ApiOptions {
  std::string listen_address = "127.0.0.1";
  int port = 6446;    // 0: any
  UniqueFd listener;  // of api::open_listener() at that address; absent: opened by start()
  int threads = 2;
  std::string log_dir = "/var/log/moored";  // where container logs are
  std::vector<std::string> allowed_hosts;   // Host names beside loopback and the bound address
  api::TransportLimits limits;
  std::shared_ptr<api::TlsSource> tls;  // absent: plain HTTP
  std::shared_ptr<api::Access> access;  // absent: everybody may read
  const Preview* preview = nullptr;   // for dry runs; it outlives the server
  UsageReader* usage = nullptr;       // of containers and node; it outlives the server
  std::vector<MetricSource*> meters;  // of the rest of the daemon, for /metrics; they outlive it
};

// Serves until it is stopped. Everything it is given must outlive it.
class ApiServer {
 public:
  // Errors: invalid (not an address), conflict (address in use), denied, internal.
  static Result<std::unique_ptr<ApiServer>> start(ApiOptions options, const StateSource& state,
                                                  RevisionSignal& signal, const Reports& reports,
                                                  const Clock& clock);
  ~ApiServer();

  // The port that is bound.
  int port() const;
  // Ends watches, closes all connections and waits for the threads. May be called twice.
  void stop();
  // Forgets what is kept so that the next answers are quicker. Any thread.
  void drop_caches();
  api::TransportCounters counters() const;
  // Watches and logs being sent now.
  int open_streams() const;

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net
