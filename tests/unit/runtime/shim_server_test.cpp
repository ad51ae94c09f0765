// The shim program itself, without containers: its protocol and its network probes.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "runtime/container/connection.hpp"
#include "runtime/container/poller.hpp"
#include "runtime/container/shim_files.hpp"
#include "runtime/shim/order.hpp"
#include "runtime/sys/socket.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"
#include "tests/unit/runtime/no_descriptors.hpp"

using namespace moored;
using namespace moored::container;
using namespace std::chrono_literals;
using shim::Record;

namespace {

// A shim of a pod without containers, in a directory of its own; killed with the test.
class RunningShim {
 public:
  RunningShim() {
    std::string name = "/tmp/moored-shim-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    shim::PodOrder order{"uid", directory_, {}, {}, ""};
    REQUIRE(write_file(directory_ + "/sandbox.json", to_text(order), true));
    CHECK(start() == "ok");
  }
  ~RunningShim() {
    if (child_.pid > 0) {
      static_cast<void>(kill_group(child_, SIGKILL));
      static_cast<void>(wait_child(child_, 10s));
    }
    static_cast<void>(remove_tree(directory_));
  }
  RunningShim(const RunningShim&) = delete;
  RunningShim& operator=(const RunningShim&) = delete;

  const std::string& directory() const { return directory_; }
  Child& child() { return child_; }

  // What a further shim of the same directory says when it starts.
  std::string start() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    SpawnRequest request;
    request.program = std::string(MOORED_BIN_DIR) + "/moored-shim";
    request.arguments = {"moored-shim", directory_};
    request.descriptors = {{write_end.get(), 3}};
    auto child = spawn(request);
    REQUIRE(child);
    write_end.reset();
    std::array<char, 512> text{};
    const auto got = ::read(read_end.get(), text.data(), text.size());
    const std::string word(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    if (word == "ok") {
      child_ = *std::move(child);
    } else {
      CHECK(wait_child(*child, 10s)->code == 1);
    }
    return word;
  }

 private:
  std::string directory_;
  Child child_;
};

// A connection with a poller of its own.
struct Line {
  std::unique_ptr<Poller> poller;
  std::shared_ptr<Connection> connection;
  explicit Line(const RunningShim& shim, bool greet = true) {
    poller = *Poller::create({});
    auto made = Connection::create("uid", shim.directory());
    REQUIRE(made);
    connection = *made;
    REQUIRE(poller->add(connection));
    if (greet) REQUIRE(connection->greet("abc"));
  }
};

// Answers one connection after the other with what the function says; ends with the object.
class TcpServer {
 public:
  using Answer = std::function<std::string(const std::string& request)>;
  explicit TcpServer(Answer answer) : answer_(std::move(answer)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TcpServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;
  int port() const { return port_; }

 private:
  void serve() {
    for (;;) {
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) return;
      std::array<char, 65536> text{};
      const auto got = ::recv(client.get(), text.data(), text.size(), 0);
      if (got <= 0) continue;
      const auto reply = answer_({text.data(), static_cast<std::size_t>(got)});
      if (reply.empty()) {  // says nothing, but waits until the peer has gone
        pollfd set{client.get(), POLLIN, 0};
        ::poll(&set, 1, 20'000);
        continue;
      }
      static_cast<void>(::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL));
    }
  }

  Answer answer_;
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

Record probe(const char* type, int port) {
  Record record;
  record.set("op", "PROBE").set("type", type).set("host", "127.0.0.1").set("port", port);
  record.set("path", "/start").set("timeoutMillis", 10'000);
  return record;
}

std::string frame(int type, int flags, int stream, const std::string& payload) {
  std::string out("\0\0", 2);
  out += static_cast<char>(payload.size());
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out + std::string("\0\0\0", 3) + static_cast<char>(stream) + payload;
}

}  // namespace

TEST_CASE("a shim says who it is and holds its directory alone") {
  RunningShim running;
  CHECK(*is_shim_alive(running.directory()));
  const auto about = read_file(running.directory() + "/shim.json");
  REQUIRE(about);
  const auto record = Record::parse(about->substr(0, about->find('\n')));
  CHECK(record->number_of("pid") == running.child().pid);
  CHECK(record->text_of("bootId") == *read_boot_id());
  CHECK(running.start().find("held by another") != std::string::npos);
  const Line line(running);
  CHECK(line.connection->call(Record().set("op", "LIST"), 10s)->rows.empty());
}

TEST_CASE("a shim without a good order does not start") {
  RunningShim running;
  static_cast<void>(kill_group(running.child(), SIGKILL));
  CHECK(wait_child(running.child(), 10s)->signal == SIGKILL);
  CHECK_FALSE(*is_shim_alive(running.directory()));
  running.child() = Child{};
  REQUIRE(write_file(running.directory() + "/sandbox.json", "{\"uid\":\"x\"}\n"));
  CHECK(running.start().find("order") != std::string::npos);
  shim::PodOrder order{"uid", running.directory(), {"net=/no/such/namespace"}, {}, ""};
  REQUIRE(write_file(running.directory() + "/sandbox.json", to_text(order)));
  CHECK(running.start().find("/no/such/namespace") != std::string::npos);
}

TEST_CASE("only the latest daemon may change anything") {
  RunningShim running;
  const Line stranger(running, false);
  const auto shutdown = Record().set("op", "SHUTDOWN");
  CHECK(stranger.connection->call(shutdown, 10s).error().code == Code::denied);
  CHECK(stranger.connection->call(Record().set("op", "LIST"), 10s));
  const Line first(running);
  const Line second(running);
  CHECK(first.connection->call(shutdown, 10s).error().code == Code::denied);
  CHECK(first.connection->call(Record().set("op", "LIST"), 10s));
  second.connection->expect_end();
  CHECK(second.connection->call(shutdown, 10s));
  CHECK(wait_child(running.child(), 10s)->code == 0);
  running.child() = Child{};
  CHECK_FALSE(*is_shim_alive(running.directory()));
}

TEST_CASE("requests that make no sense are answered, not obeyed") {
  RunningShim running;
  const Line line(running);
  const auto ask = [&](Record request) { return line.connection->call(std::move(request), 10s); };
  CHECK(ask(Record().set("op", "FLY").set("name", "x")).error().code == Code::not_found);
  CHECK(ask(Record().set("op", "")).error().code == Code::not_found);
  for (const char* op : {"START", "KILL", "ACK", "LOGROTATE"}) {
    CHECK(ask(Record().set("op", op).set("name", "none")).error().code == Code::not_found);
  }
  CHECK(ask(Record().set("op", "DELETE").set("name", "none")));
  CHECK(ask(Record().set("op", "CREATE").set("name", "a").set("spec", "/no/such")).error().code ==
        Code::invalid);
  REQUIRE(write_file(running.directory() + "/spec.json", "{\"v\":1}\n{\"step\":\"fly\"}\n", true));
  CHECK_FALSE(ask(Record()
                      .set("op", "CREATE")
                      .set("name", "a")
                      .set("spec", running.directory() + "/spec.json")));
  shim::ContainerOrder order;
  order.name = "other";
  order.directory = running.directory();
  order.steps.resize(1);
  REQUIRE(write_file(running.directory() + "/spec.json", to_text(order)));
  CHECK(ask(Record()
                .set("op", "CREATE")
                .set("name", "a")
                .set("spec", running.directory() + "/spec.json"))
            .error()
            .message.find("another container") != std::string::npos);
  CHECK(ask(Record().set("op", "LIST"))->rows.empty());
}

TEST_CASE("who does not speak the protocol is cut off, and others are not") {
  RunningShim running;
  const Line line(running);
  const auto rude = sys::connect_messages(running.directory() + "/shim.sock");
  REQUIRE(rude);
  REQUIRE(sys::send_message(rude->get(), "not a record"));
  pollfd set{rude->get(), POLLIN, 0};
  REQUIRE(::poll(&set, 1, 10'000) == 1);
  CHECK(sys::receive_message(rude->get())->empty());
  CHECK(line.connection->call(Record().set("op", "LIST"), 10s));
  Record old;
  old.set("op", "HELLO").set("protoMin", 7).set("protoMax", 9);
  CHECK(line.connection->call(old, 10s).error().code == Code::invalid);
}

TEST_CASE("more connections than the limit are closed at once") {
  RunningShim running;
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 20; ++i) {
    auto client = sys::connect_messages(running.directory() + "/shim.sock");
    REQUIRE(client);
    clients.push_back(*std::move(client));
  }
  pollfd set{clients.back().get(), POLLIN, 0};
  REQUIRE(::poll(&set, 1, 10'000) == 1);
  CHECK(sys::receive_message(clients.back().get())->empty());
  clients.clear();
  // The shim has noticed when a new one gets through.
  Result<std::shared_ptr<Connection>> again = fail(Code::unavailable, "");
  bool greeted = false;
  const auto poller = *Poller::create({});
  for (int i = 0; i < 1000 && !greeted; ++i) {
    again = Connection::create("uid", running.directory());
    if (!again) continue;
    REQUIRE(poller->add(*again));
    greeted = (*again)->greet("abc").has_value();
  }
  CHECK(greeted);
}

TEST_CASE("TERM does not end a shim, KILL is noticed by those who wait") {
  RunningShim running;
  const Line line(running);
  REQUIRE(::kill(running.child().pid, SIGTERM) == 0);
  REQUIRE(::kill(running.child().pid, SIGHUP) == 0);
  CHECK(line.connection->call(Record().set("op", "LIST"), 10s));
  TcpServer silent([](const std::string&) { return std::string(); });
  Result<Connection::Reply> reply = Connection::Reply{};
  std::thread waiting([&] { reply = line.connection->call(probe("http", silent.port()), 20s); });
  REQUIRE(::kill(running.child().pid, SIGKILL) == 0);
  waiting.join();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Code::unavailable);
  CHECK(line.connection->has_ended(10s));
  // A request that could not even be sent comes back before the poll thread has seen the end.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!line.connection->is_lost() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  CHECK(line.connection->is_lost());
}

TEST_CASE("http probes follow redirects on the host and judge by status") {
  RunningShim running;
  const Line line(running);
  const auto run = [&](const std::string& answer) {
    const TcpServer server([&](const std::string& request) {
      return request.find("GET /done ") == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
                                             : answer;
    });
    return line.connection->call(probe("http", server.port()), 20s)->last;
  };
  CHECK(
      run("HTTP/1.1 302 Found\r\nLocation: /done\r\nContent-Length: 0\r\n\r\n").text_of("output") ==
      "good");
  const auto away =
      run("HTTP/1.1 302 Found\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n");
  CHECK(away.text_of("outcome") == "success");
  CHECK(away.text_of("output").find("another host") != std::string::npos);
  CHECK(run("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
            .text_of("outcome") == "failure");
  CHECK(run("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").text_of("outcome") == "failure");
  CHECK(run("220 mail.example.com\r\n").text_of("outcome") == "failure");
  CHECK(run("HTTP/1.0 200 OK\r\n\r\n" + std::string(100'000, 'x')).text_of("output").size() ==
        10'240);
}

TEST_CASE("a probe that gets no answer ends at its time") {
  RunningShim running;
  const Line line(running);
  const TcpServer silent([](const std::string&) { return std::string(); });
  for (const char* type : {"http", "grpc"}) {
    auto request = probe(type, silent.port());
    request.set("timeoutMillis", 200);
    const auto reply = line.connection->call(request, 20s);
    REQUIRE(reply);
    CHECK(reply->last.text_of("outcome") == "failure");
    CHECK(reply->last.text_of("output").find("timed out") != std::string::npos);
  }
}

TEST_CASE("grpc probes speak to a health server") {
  RunningShim running;
  const Line line(running);
  std::string seen;
  const auto run = [&](const std::string& message) {
    const TcpServer server([&](const std::string& request) {
      seen = request;
      return frame(4, 0, 0, "") + frame(1, 4, 1, "headers") +
             frame(0, 0, 1,
                   std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message);
    });
    auto request = probe("grpc", server.port());
    return line.connection->call(request.set("service", "my-service"), 20s)->last;
  };
  CHECK(run("\x08\x01").text_of("outcome") == "success");
  CHECK(seen.find("my-service") != std::string::npos);
  CHECK(run("\x08\x02").text_of("output").find("NOT_SERVING") != std::string::npos);
}

TEST_CASE("probes run side by side, up to a limit") {
  RunningShim running;
  const Line line(running);
  const TcpServer silent([](const std::string&) { return std::string(); });
  constexpr std::size_t kMany = 80;  // more than a pod may have at once
  std::array<std::string, kMany> outcomes;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kMany; ++i) {
    threads.emplace_back([&, i] {
      auto request = probe("http", silent.port());
      request.set("timeoutMillis", 2000);
      const auto reply = line.connection->call(request, 30s);
      outcomes[i] = reply ? reply->last.text_of("outcome") : reply.error().message;
    });
  }
  for (auto& thread : threads)
    thread.join();
  const auto refused = std::count(outcomes.begin(), outcomes.end(), "unknown");
  const auto failed = std::count(outcomes.begin(), outcomes.end(), "failure");
  CHECK(refused + failed == static_cast<long>(kMany));
  CHECK(refused >= 1);
  CHECK(failed >= 16);
}

TEST_CASE("what a dead shim left is read from its files") {
  RunningShim running;
  const std::string& directory = running.directory();
  const auto write_state = [&](const std::string& name, int attempt, const char* file,
                               const char* phase) {
    shim::ContainerState state;
    state.name = name;
    state.attempt = attempt;
    state.phase = phase;
    state.pid = 12;
    state.started_micros = 5'000'000;
    state.code = std::string(file) == "exit.json" ? 3 : 0;
    const std::string place = directory + "/c/" + name + "/" + std::to_string(attempt);
    REQUIRE(make_directories(place));
    REQUIRE(write_file(place + "/" + file, to_record(state).text() + "\n", true));
  };
  write_state("web", 2, "state.json", "running");
  write_state("web", 10, "state.json", "running");
  write_state("web", 10, "exit.json", "exited");
  write_state(kPauseName, 0, "state.json", "running");
  REQUIRE(make_directories(directory + "/c/web/not-a-number"));
  REQUIRE(make_directories(directory + "/c/empty/0"));
  CHECK(find_latest_attempt(directory, "web") == 10);
  CHECK(find_latest_attempt(directory, "none") == -1);
  const auto attempts = *read_attempts(directory);
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].attempt == 2);
  CHECK(attempts[0].exit_code == 137);
  CHECK(attempts[0].signal == SIGKILL);
  CHECK(attempts[1].attempt == 10);
  CHECK(attempts[1].exit_code == 3);
  REQUIRE(record_lost(directory));
  CHECK(path_exists(directory + "/c/web/2/exit.json"));
  CHECK_FALSE(path_exists(directory + "/c/empty/0/exit.json"));
  CHECK(read_attempts(directory)->at(1).exit_code == 3);
  CHECK(read_attempts(directory + "/none")->empty());
}

TEST_CASE("what cannot be read for want of a descriptor is not taken for dead") {
  RunningShim running;
  const std::string directory = running.directory();
  REQUIRE(make_directories(directory + "/c/web/0"));
  {
    const test::NoDescriptors none;
    CHECK(is_shim_alive(directory).error().code == Code::exhausted);
    CHECK(read_attempts(directory).error().code == Code::exhausted);
    CHECK(read_pod(directory).error().code == Code::exhausted);
    CHECK_FALSE(is_verdict(read_pod(directory).error()));
  }
  CHECK(*is_shim_alive(directory));
  CHECK(read_attempts(directory)->empty());
  CHECK(is_verdict(read_pod(directory).error()));  // this shim has none
}
