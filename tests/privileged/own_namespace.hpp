// A test's own network and mount namespaces, with a temporary directory; everything goes with them.
#pragma once

#include <functional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::test {

// False without root: the caller then skips, loudly.
bool have_root();

// Moves the calling thread into fresh namespaces for its life and back again. Mounts made inside
// never reach the machine, and the namespaces die with the test, also when it crashes.
class OwnNamespace {
 public:
  OwnNamespace();
  ~OwnNamespace();
  OwnNamespace(const OwnNamespace&) = delete;
  OwnNamespace& operator=(const OwnNamespace&) = delete;

  const std::string& directory() const { return directory_; }

 private:
  UniqueFd network_;
  UniqueFd mounts_;
  std::string directory_;
};

// Runs a shell command in the calling thread's namespaces; its exit status and output.
struct ShellOutput {
  int status = -1;
  std::string out;
};
ShellOutput shell(const std::string& command);

// As a name: the server answers with the address of whoever asks.
inline constexpr const char* kTellsPeer = "@peer";

// A TCP server in a network namespace (pin path; empty: the calling thread's) that answers each
// connection with a fixed name and keeps it open. Ends with the object.
class NamedServer {
 public:
  NamedServer(const std::string& pin, int port, std::string name, bool udp = false);
  ~NamedServer();

 private:
  struct State;
  State* state_;
};

// Connects from a network namespace; the descriptor, or the errno that came instead.
Result<UniqueFd> dial(const std::string& pin, const std::string& address, int port,
                      bool udp = false);
// Sends one line and reads the answer's line, within two seconds.
Result<std::string> ask(int fd);
// dial and ask.
Result<std::string> ask_once(const std::string& pin, const std::string& address, int port);

}  // namespace moored::test
