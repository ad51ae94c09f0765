// Logs over the API: parameters, which container, following, and the refusals kubectl shows.
#include "net/api/logs.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "runtime/agent/log_reader.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"

namespace moored::net::api {
namespace {

using test::at;
using test::body_of;
using test::FakeApi;

// A directory of logs that goes with the test.
struct LogDirectory {
  LogDirectory() {
    std::string path = std::filesystem::temp_directory_path() / "moored-api-logs-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    root = path;
  }
  ~LogDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  }
  void write(const ObjectMeta& pod, const std::string& container, int attempt,
             const std::string& text) const {
    const auto directory = pod_log_directory(root, pod) + "/" + container;
    std::filesystem::create_directories(directory);
    std::ofstream file(directory + "/" + std::to_string(attempt) + ".log", std::ios::app);
    file << text;
  }
  std::string root;
};

std::string line(int second, const std::string& text) {
  return "2026-01-01T00:59:" + std::string(second < 10 ? "0" : "") + std::to_string(second) +
         ".000000000Z stdout F " + text + "\n";
}

// One running pod with three lines of log.
struct LogApi : FakeApi {
  LogApi() {
    context.log_dir = logs.root;
    state.put(test::make_pod("web-0"));
    logs.write(pod(), "web", 0, line(10, "one") + line(20, "two") + line(30, "three"));
  }
  ObjectMeta pod() const { return state.view()->find(key_of<Pod>("shop", "web-0"))->meta(); }
  Response log(const std::string& query, const std::string& name = "web-0") {
    return get("/api/v1/namespaces/shop/pods/" + name + "/log?" + query);
  }
  std::string text(const std::string& query) {
    auto response = log(query);
    INFO(query << (response.body ? *response.body : ""));
    REQUIRE(response.status == 200);
    CHECK(response.content_type == "text/plain");
    std::string out;
    for (const auto& part : test::pull_lines(*response.stream, clock.now()))
      out += part + "\n";
    return out;
  }
  LogDirectory logs;
};

TEST_CASE("api logs: what the parameters ask for") {
  LogApi api;
  struct Row {
    const char* query;
    const char* text;
  };
  for (const auto& row : std::vector<Row>{
           {"", "one\ntwo\nthree\n"},
           {"container=web", "one\ntwo\nthree\n"},
           {"pretty=true&previous=false&timestamps=false", "one\ntwo\nthree\n"},
           {"tailLines=1", "three\n"},
           {"tailLines=0", ""},
           {"tailLines=100", "one\ntwo\nthree\n"},
           {"sinceTime=2026-01-01T00:59:20Z", "two\nthree\n"},
           {"sinceTime=2026-01-01T01:59:20%2B01:00", "two\nthree\n"},
           {"sinceSeconds=35", "three\n"},
           {"sinceSeconds=9223372036854775807", "one\ntwo\nthree\n"},
           {"sinceSeconds=45&tailLines=1", "three\n"},
           {"tailLines=1&timestamps=true", "2026-01-01T00:59:30.000000000Z three\n"}}) {
    CHECK(api.text(row.query) == row.text);
  }
  auto cut = api.log("limitBytes=5");
  std::string out;
  CHECK_FALSE(cut.stream->pull(api.clock.now(), out));
  CHECK(out == "one\nt");
}

TEST_CASE("api logs: parameters that are not") {
  LogApi api;
  for (const auto* query :
       {"tailLines=-1", "tailLines=9223372036854775808", "tailLines=abc", "sinceSeconds=0",
        "sinceSeconds=-99999999999999", "sinceTime=yesterday", "sinceTime=0001-01-01T00:00:00Z",
        "sinceSeconds=5&sinceTime=2026-01-01T00:59:20Z", "limitBytes=0", "limitBytes=-5",
        "container=../../../../etc/passwd", "container=web%00"}) {
    INFO(query);
    const auto response = api.log(query);
    CHECK(response.status == 400);
    CHECK(response.stream == nullptr);
    CHECK(at(body_of(response), "reason") == "BadRequest");
    CHECK(response.body->find("root:") == std::string::npos);
  }
  CHECK(api.streams.open() == 0);
}

TEST_CASE("api logs: the refusals that kubectl's users know") {
  LogApi api;
  auto two = test::make_pod("two");
  two.spec.containers.push_back(two.spec.containers[0]);
  two.spec.containers[1].name = "side";
  Container init;
  init.name = "prepare";
  two.spec.init_containers = {init};
  api.state.put(two);
  api.state.put(test::make_pod("new", "Pending"));
  struct Row {
    const char* name;
    const char* query;
    int status;
    const char* message;
  };
  for (const auto& row : std::vector<Row>{
           {"two", "", 400,
            "a container name must be specified for pod two, choose one of: [web side] or one of "
            "the init containers: [prepare]"},
           {"two", "container=none", 400, "container none is not valid for pod two"},
           {"two", "container=prepare", 400,
            "container \"prepare\" in pod \"two\" is waiting to start: ContainerCreating"},
           {"new", "", 400,
            "container \"web\" in pod \"new\" is waiting to start: "
            "ContainerCreating"},
           {"web-0", "previous=true", 400,
            "previous terminated container \"web\" in pod \"web-0\" not found"},
           {"gone", "", 404, "pods \"gone\" not found"}}) {
    INFO(row.name << " " << row.query);
    const auto response = api.log(row.query, row.name);
    CHECK(response.status == row.status);
    CHECK(at(body_of(response), "message") == row.message);
  }
}

TEST_CASE("api logs: the annotation names the container when several could be meant") {
  LogApi api;
  auto pod = test::make_pod("web-0");
  pod.spec.containers.push_back(pod.spec.containers[0]);
  pod.spec.containers[1].name = "side";
  pod.metadata.annotations = {{"kubectl.kubernetes.io/default-container", "web"}};
  api.state.put(pod);
  CHECK(api.text("") == "one\ntwo\nthree\n");
}

TEST_CASE("api logs: the instance before the last restart") {
  LogApi api;
  auto pod = test::make_pod("web-0");
  pod.status.container_statuses[0].restart_count = 1;
  pod.status.container_statuses[0].last_state.terminated = ContainerStateTerminated{};
  api.state.put(pod);
  api.logs.write(api.pod(), "web", 1, line(40, "again"));
  CHECK(api.text("") == "again\n");
  CHECK(api.text("previous=true") == "one\ntwo\nthree\n");
}

TEST_CASE("api logs: following goes on until the container has ended") {
  LogApi api;
  auto response = api.log("follow=true&tailLines=1");
  REQUIRE(response.status == 200);
  auto& stream = *response.stream;
  CHECK(stream.change_fd() >= 0);
  CHECK(api.streams.open() == 1);
  bool more = false;
  CHECK(test::pull_lines(stream, api.clock.now(), &more) == std::vector<std::string>{"three"});
  CHECK(more);
  api.logs.write(api.pod(), "web", 0, line(40, "four"));
  CHECK(test::pull_lines(stream, api.clock.now(), &more) == std::vector<std::string>{"four"});
  CHECK(more);
  CHECK(stream.next_due() == api.clock.now().mono + kLogRecheck);
  api.logs.write(api.pod(), "web", 0, line(50, "last"));
  api.state.put(test::make_pod("web-0", "Succeeded"));
  CHECK(test::pull_lines(stream, api.clock.now(), &more) == std::vector<std::string>{"last"});
  CHECK_FALSE(more);
}

TEST_CASE("api logs: following ends with its pod, and with a successor of the same name") {
  LogApi api;
  auto gone = api.log("follow=true");
  auto replaced = api.log("follow=true");
  bool more = true;
  test::pull_lines(*gone.stream, api.clock.now(), &more);
  test::pull_lines(*replaced.stream, api.clock.now(), &more);
  CHECK(more);
  api.state.remove<Pod>("shop", "web-0");
  test::pull_lines(*gone.stream, api.clock.now(), &more);
  CHECK_FALSE(more);
  api.state.put(test::make_pod("web-0"));
  test::pull_lines(*replaced.stream, api.clock.now(), &more);
  CHECK_FALSE(more);
}

TEST_CASE("api logs: bytes pass unchanged") {
  LogApi api;
  const std::string raw = "\x1b]52;c;x\x07\xFF\xFE";
  api.logs.write(api.pod(), "web", 0, line(50, raw));
  CHECK(api.text("tailLines=1") == raw + "\n");
}

}  // namespace
}  // namespace moored::net::api
