// HTTPS probes against a real TLS server inside a pod's network.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"
#include "tests/unit/confined.hpp"

using namespace moored;
using moored::test::SandboxFixture;

namespace {

using Outcome = ProbeResult::Outcome;

constexpr const char* kOpenssl = "/usr/bin/openssl";

// A program of the machine in the pod's network, for as long as this lives.
class Server {
 public:
  Server(const SandboxFixture& fixture, const std::string& command) {
    SpawnRequest request;
    request.program = "/usr/bin/nsenter";
    request.arguments = {"nsenter", "--net=" + fixture.net_namespace(), "/bin/sh", "-c",
                         "ip link set lo up; " + command};
    request.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + fixture.scratch()};
    auto child = spawn(request);
    REQUIRE(child);
    child_ = *std::move(child);
  }
  ~Server() {
    static_cast<void>(kill_group(child_, SIGKILL));
    static_cast<void>(wait_child(child_, std::chrono::seconds(5)));
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  Child child_;
};

ProbeRequest https_probe(int port) {
  ProbeRequest request;
  request.type = ProbeRequest::Type::http;
  request.container = "main";
  request.host = "127.0.0.1";
  request.port = port;
  request.path = "/";
  request.https = true;
  request.timeout = std::chrono::seconds(5);
  return request;
}

// Asks until the answer is no refused connection any more: the server takes a moment to come up.
ProbeResult ask(SandboxFixture& fixture, const ProbeRequest& request) {
  for (int i = 0; i < 200; ++i) {
    const auto result = fixture.sandbox().run_probe(fixture.pod().uid, request);
    REQUIRE(result);
    if (result->output.find("connect:") == std::string::npos) return *result;
    ::usleep(50'000);
  }
  FAIL("nothing listens");
  return {};
}

}  // namespace

TEST_CASE("an https probe speaks TLS and asks for no certificate that it knows") {
  NEEDS_CONTAINERS();
  if (!path_exists(kOpenssl)) {
    std::cout << "SKIP: https probes need the program openssl\n";
    return;
  }
  SandboxFixture fixture;
  fixture.make_pod(fixture.pod());
  const std::string key = fixture.scratch() + "/key.pem";
  SpawnRequest make;
  make.program = kOpenssl;
  const std::string certificate = fixture.scratch() + "/certificate.pem";
  make.arguments = {"openssl", "req",  "-x509",     "-newkey", "rsa:2048",      "-nodes", "-keyout",
                    key,       "-out", certificate, "-subj",   "/CN=elsewhere", "-days",  "1"};
  REQUIRE(run_command(make, {}, std::chrono::seconds(60))->status.code == 0);
  const std::string base = std::string("exec ") + kOpenssl + " s_server -quiet -accept 127.0.0.1:";
  const std::string with = " -key " + key + " -cert " + certificate;
  const auto refused = fixture.sandbox().run_probe(fixture.pod().uid, https_probe(4433));
  REQUIRE(refused);
  CHECK(refused->outcome == Outcome::failure);
  CHECK(refused->output.find("connect:") == 0);

  SECTION("a page is success") {
    const Server server(fixture, base + "4433 -www" + with);
    const auto result = ask(fixture, https_probe(4433));
    CHECK(result.outcome == Outcome::success);
    CHECK(result.output.size() <= 10U << 10U);
  }
  SECTION("what asks has no rights") {
    const Server server(fixture, "exec busybox nc -ll -p 4433 -e sleep 1000");
    auto request = https_probe(4433);
    request.timeout = std::chrono::milliseconds(100);
    REQUIRE(ask(fixture, request).output == "http probe timed out");  // from now on it is accepted
    request.timeout = std::chrono::seconds(60);
    Result<ProbeResult> result = fail(Code::internal, "not asked");
    std::thread asker([&] { result = fixture.sandbox().run_probe(fixture.pod().uid, request); });
    const auto status = confined::status_of_filtered_child("moored-probe");
    fixture.shim_sandbox().abandon_probes();
    asker.join();
    confined::check_confined(status, "0000000000000000");
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::unavailable);
  }
  SECTION("a server without TLS is a failure") {
    const Server server(fixture, "exec busybox httpd -f -p 127.0.0.1:4433 -h " + fixture.scratch());
    CHECK(ask(fixture, https_probe(4433)).outcome == Outcome::failure);
  }
  SECTION("a server that says nothing is a failure at the time's end") {
    const Server server(fixture, "exec busybox nc -ll -p 4433 -e sleep 1000");
    auto request = https_probe(4433);
    request.timeout = std::chrono::milliseconds(500);
    const auto result = ask(fixture, request);
    CHECK(result.outcome == Outcome::failure);
    CHECK(result.output == "http probe timed out");
  }
  SECTION("a name is not looked up, a header with a line break is not sent") {
    auto named = https_probe(4433);
    named.host = "web.example";
    CHECK(fixture.sandbox().run_probe(fixture.pod().uid, named)->outcome == Outcome::unknown);
    auto smuggled = https_probe(4433);
    smuggled.headers = {{"X", "a\r\nY: b"}};
    CHECK(fixture.sandbox().run_probe(fixture.pod().uid, smuggled)->outcome == Outcome::unknown);
  }
}

TEST_CASE("probes that are abandoned end at once, and the container goes on", "[vm]") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo up; while :; do sleep 0.1; done");
  fixture.make_and_start(pod.uid, spec);
  fixture.wait_log(spec, "up");
  ProbeRequest endless;
  endless.container = "main";
  endless.command = {"sleep", "600"};
  endless.timeout = std::chrono::minutes(10);
  Result<ProbeResult> result = fail(Code::internal, "not asked");
  std::thread asker([&] { result = fixture.sandbox().run_probe(pod.uid, endless); });
  fixture.shim_sandbox().abandon_probes();
  asker.join();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::unavailable);
  CHECK_FALSE(fixture.sandbox().run_probe(pod.uid, endless));
  // Everything else is answered as before.
  REQUIRE(fixture.sandbox().list_containers(pod.uid));
  CHECK(fixture.sandbox().list_containers(pod.uid)->at(0).phase == ContainerPhase::running);
}
