// What the service supervisor is told, and when a thread counts as standing still.
#include "reconciler/daemon/supervisor.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "fixture.hpp"
#include "schema/host/unique_fd.hpp"

using namespace moored;

namespace {

// A variable of the environment for the length of a test.
class Variable {
 public:
  Variable(std::string name, const std::string& value) : name_(std::move(name)) {
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_.c_str()); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
};

// The supervisor's end of the socket; a leading @ makes an abstract one.
UniqueFd listen_on(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(name.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  return socket;
}

// Waits for the next message.
std::string receive(const UniqueFd& socket) {
  std::array<char, 256> text{};
  const auto size = ::recv(socket.get(), text.data(), text.size(), 0);
  return size < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace

TEST_CASE("without a supervisor there is nobody to tell", "[supervisor]") {
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(notify_supervisor("READY=1"));
  const Variable empty("NOTIFY_SOCKET", "");
  CHECK(notify_supervisor("READY=1"));
}

TEST_CASE("a supervisor hears what it is told, by path and by abstract name", "[supervisor]") {
  const test::TestDirectory directory;
  const std::string abstract = "@moored-test-" + std::to_string(::getpid());
  for (const auto& name : {directory.path() + "/notify", abstract}) {
    const auto socket = listen_on(name);
    const Variable variable("NOTIFY_SOCKET", name);
    REQUIRE(notify_supervisor("READY=1\nSTATUS=keeps node a"));
    CHECK(receive(socket) == "READY=1\nSTATUS=keeps node a");
  }
}

TEST_CASE("a supervisor that cannot be told is an error with a reason", "[supervisor]") {
  const test::TestDirectory directory;
  struct Row {
    std::string name;
    Code code;
  };
  const std::array<Row, 4> rows{{{"relative/name", Code::invalid},
                                 {"vsock:2:1234", Code::invalid},
                                 {"/" + std::string(200, 'a'), Code::invalid},
                                 {directory.path() + "/missing", Code::not_found}}};
  for (const auto& row : rows) {
    const Variable variable("NOTIFY_SOCKET", row.name);
    const auto told = notify_supervisor("READY=1");
    REQUIRE_FALSE(told);
    CHECK(told.error().code == row.code);
  }
}

TEST_CASE("only a watchdog that is meant for this process counts", "[supervisor]") {
  struct Row {
    std::string micros;
    std::string pid;  // empty: not set
    bool watched;
  };
  const auto own = std::to_string(::getpid());
  const std::array<Row, 7> rows{{{"60000000", own, true},
                                 {"60000000", "", true},
                                 {"60000000", "1", false},
                                 {"60000000", "x", false},
                                 {"0", own, false},
                                 {"-5", own, false},
                                 {"60s", own, false}}};
  ::unsetenv("WATCHDOG_USEC");
  CHECK_FALSE(find_watchdog_patience());
  for (const auto& row : rows) {
    CAPTURE(row.micros, row.pid);
    const Variable micros("WATCHDOG_USEC", row.micros);
    ::unsetenv("WATCHDOG_PID");
    if (!row.pid.empty()) ::setenv("WATCHDOG_PID", row.pid.c_str(), 1);
    const auto patience = find_watchdog_patience();
    ::unsetenv("WATCHDOG_PID");
    CHECK(patience.has_value() == row.watched);
    if (patience) CHECK(*patience == std::chrono::seconds(60));
  }
}

TEST_CASE("a thread is alive when it goes round after it was asked to", "[supervisor]") {
  std::uint64_t loop = 7;
  std::uint64_t agent = 0;
  int asked = 0;
  Vitality vitality({{"loop", [&] { return loop; }, [&] { ++asked; }},
                     {"agent", [&] { return agent; }, [&] { ++asked; }}});
  CHECK(vitality.find_still().empty());  // nobody has had a chance yet
  CHECK(asked == 2);
  CHECK(vitality.find_still() == std::vector<std::string>{"loop", "agent"});
  ++loop;
  CHECK(vitality.find_still() == std::vector<std::string>{"agent"});
  ++loop;
  agent += 3;
  CHECK(vitality.find_still().empty());
  CHECK(asked == 8);
  CHECK(vitality.find_still() == std::vector<std::string>{"loop", "agent"});
}

TEST_CASE("the watchdog says that the daemon lives while its threads move", "[supervisor]") {
  const test::TestDirectory directory;
  const auto socket = listen_on(directory.path() + "/notify");
  const Variable name("NOTIFY_SOCKET", directory.path() + "/notify");
  const Variable micros("WATCHDOG_USEC", "3000");
  std::atomic<std::uint64_t> rounds{0};
  const Watchdog watchdog({{"loop", [&] { return rounds.load(); }, [&] { ++rounds; }}});
  for (int i = 0; i < 3; ++i) CHECK(receive(socket) == "WATCHDOG=1");
}

TEST_CASE("the watchdog is silent while a thread stands still", "[supervisor]") {
  const test::TestDirectory directory;
  const auto socket = listen_on(directory.path() + "/notify");
  const Variable name("NOTIFY_SOCKET", directory.path() + "/notify");
  const Variable micros("WATCHDOG_USEC", "3000");
  std::atomic<int> looks{0};
  {
    const Watchdog watchdog({{"loop", [] { return std::uint64_t{1}; }, [&] {
                                ++looks;
                                looks.notify_all();
                              }}});
    for (int seen = looks; seen < 5; seen = looks) looks.wait(seen);
  }
  CHECK(receive(socket) == "WATCHDOG=1");  // the first look has nothing to compare with
  std::array<char, 16> text{};
  CHECK(::recv(socket.get(), text.data(), text.size(), MSG_DONTWAIT) < 0);
}
