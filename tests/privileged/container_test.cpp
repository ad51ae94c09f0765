// Real containers: start, output, exit, kill and what is left behind.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "sandbox_fixture.hpp"
#include "schema/host/file.hpp"

using namespace moored;
using namespace std::chrono_literals;
using moored::test::SandboxFixture;

// Says why and leaves when containers cannot run here.
#define NEEDS_CONTAINERS()                                                    \
  if (!SandboxFixture::is_possible()) {                                       \
    WARN("skipped: needs root and busybox-static");                           \
    return;                                                                   \
  }

TEST_CASE("a container runs, writes its log and leaves its exit code") {
  NEEDS_CONTAINERS();
  SandboxFixture fixture;
  const auto pod = fixture.pod();
  fixture.make_pod(pod);
  const auto spec = fixture.container("main", "echo hello; echo oops >&2; exit 7");
  fixture.make_and_start(pod.uid, spec);
  const auto report = fixture.wait_exit(pod.uid, "main");
  CHECK(report.exit_code == 7);
  CHECK(report.signal == 0);
  CHECK_FALSE(report.oom_killed);
  REQUIRE(report.started_at);
  REQUIRE(report.finished_at);
  CHECK(*report.started_at <= *report.finished_at);
  CHECK(fixture.log_text(spec) == "hello\n");
  CHECK(fixture.log_text(spec, "stderr") == "oops\n");
}
