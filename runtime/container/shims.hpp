// The shims of this machine: started, connected, heard and ended.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/container/connection.hpp"
#include "runtime/container/machine.hpp"
#include "runtime/container/poller.hpp"
#include "runtime/container/shim_starter.hpp"
#include "schema/base/guarded.hpp"
#include "schema/ports/sandbox.hpp"

namespace moored::container {

// Thread safe across pods.
class Shims final : public ShimControl {
 public:
  // Both are told on a thread that reads from the shim and must not call back.
  using Heard = std::function<void(SandboxEvent)>;
  using Lost = std::function<void(const std::string& uid)>;

  // pods: the directory of all pods' directories. instance: said to the shims.
  Shims(std::string pods, std::string instance, std::unique_ptr<ShimStarter> starter);
  ~Shims() override;

  Status listen(Heard heard, Lost lost);
  // After this nothing is heard any more; the shims live on.
  void stop() { poller_.reset(); }
  // Ends the process that shims are started from; for when all of them have ended.
  void stop_starter() { starter_->stop(); }

  // See Connection::abandon, for all shims that are connected.
  void abandon_probes();

  Status start_shim(const std::string& pod_directory) override;
  Status end_shim(const std::string& pod_directory) override;
  Status create_container(const HostStep& step) override;
  Status delete_container(const HostStep& step) override;

  // Connects to a living shim. Errors: unavailable, denied.
  Status connect(const std::string& uid);
  // The connection of a pod, or null.
  std::shared_ptr<Connection> find(const std::string& uid);
  // The same; a shim that lives but is not connected is connected. Errors: not_found.
  Result<std::shared_ptr<Connection>> require(const std::string& uid);

 private:
  std::string uid_of_path(const std::string& path) const;
  Status hear(const std::shared_ptr<Connection>& connection);
  void keep(const std::shared_ptr<Connection>& connection);
  void lose(const std::shared_ptr<Connection>& connection);

  std::string pods_;
  std::string instance_;
  std::unique_ptr<ShimStarter> starter_;
  Heard heard_;
  Lost lost_;
  Guarded<std::map<std::string, std::shared_ptr<Connection>>> connections_;
  Guarded<std::map<std::string, Child>> children_;
  std::unique_ptr<Poller> poller_;
};

// The longest time for an answer that needs no work of the kernel's slow paths.
constexpr std::chrono::milliseconds kCallTime{15'000};

// A request about one attempt.
shim::Record container_request(const char* op, const std::string& name, int attempt);
// A row of LIST, an answer or an event as the agent's report.
ContainerReport report_of(const shim::Record& record);
// All attempts that the shim knows, without the holder of a shared pid namespace.
Result<std::vector<ContainerReport>> list_attempts(Connection& connection);
// Kills, acknowledges and deletes an attempt, whatever state it is in.
Status end_attempt(Connection& connection, const std::string& name, int attempt);

}  // namespace moored::container
