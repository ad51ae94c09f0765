// The shim's conversation with the daemon: one socket, one request a message.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "runtime/shim/loop.hpp"
#include "runtime/shim/order.hpp"
#include "runtime/shim/record.hpp"
#include "schema/base/result.hpp"

namespace moored::shim {

class ContainerRun;
class ProbeRunner;

// Serves one pod until SHUTDOWN. Keeps everything alive while nobody is connected.
class Server {
 public:
  // Locks the directory, enters the pod's namespaces, binds the socket, writes shim.json.
  // Errors: conflict (another shim holds the lock), and those of the kernel.
  static Result<std::unique_ptr<Server>> create(const std::string& directory);
  ~Server();

  // Says "ok" on a line that the daemon made with the shim, which needs no greeting any more.
  void welcome(UniqueFd line);
  // Returns when SHUTDOWN was granted, or with the error that ended the loop.
  Status run();

 private:
  struct Client {
    UniqueFd fd;
    Loop::Token token = 0;
    std::uint64_t greeted = 0;  // order of HELLO; 0: not yet
  };
  using ClientId = std::uint64_t;

  Server(PodOrder order, Loop loop);
  Status prepare();
  Status enter_namespaces() const;
  void accept_client();
  ClientId add_client(UniqueFd fd);
  void read_client(ClientId id);
  void drop_client(ClientId id);
  void serve(ClientId id, const Record& request);
  // Answers at once, or returns false when the word is not known.
  bool serve_container(ClientId id, const Record& request);
  void send(ClientId id, Record message);
  void broadcast(const Record& message);
  void answer(ClientId id, const Record& request, const Status& status);
  bool may_change(ClientId id) const;

  void hello(ClientId id, const Record& request);
  void list(ClientId id, const Record& request);
  void create_container(ClientId id, const Record& request);
  void remove_container(ClientId id, const Record& request);
  void probe(ClientId id, const Record& request);
  void shutdown(ClientId id, const Record& request);
  ContainerRun* find(const Record& request);
  void read_signals();

  PodOrder order_;
  Loop loop_;
  UniqueFd lock_;
  UniqueFd listener_;
  UniqueFd signals_;
  std::map<ClientId, Client> clients_;
  ClientId next_client_ = 1;
  std::uint64_t greetings_ = 0;
  std::map<std::string, std::unique_ptr<ContainerRun>> runs_;  // by "name/attempt"
  std::unique_ptr<ProbeRunner> probes_;
  int shared_pid_namespace_ = -1;
  bool pause_told_ = false;  // to end, by the daemon
  bool done_ = false;
};

}  // namespace moored::shim
