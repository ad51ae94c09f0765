#include "sandbox_fixture.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "runtime/cgroup/library.hpp"
#include "runtime/cgroup/tree.hpp"
#include "runtime/container/namespaces.hpp"
#include "runtime/container/plan.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

namespace moored::test {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

constexpr std::uint64_t kDefaultCapabilities = 0xa80425fb;

std::string find_busybox() {
  for (const char* path : {"/bin/busybox", "/usr/bin/busybox"}) {
    if (path_exists(path)) return path;
  }
  return {};
}

void bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ::ioctl(socket.get(), SIOCSIFFLAGS, &request);
}

}  // namespace

int tries(int here) {
  return std::getenv("MOORED_IN_VM") != nullptr ? here / 10 + 1 : here;
}

bool SandboxFixture::is_possible() {
  return ::geteuid() == 0 && !find_busybox().empty();
}

SandboxFixture::SandboxFixture() {
  static int number = 0;
  std::string name = "/tmp/moored-sandbox-XXXXXX";
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  scratch_ = name;
  rootfs_ = scratch_ + "/rootfs";
  net_ = scratch_ + "/net";
  options_.run_dir = scratch_ + "/run";
  options_.state_dir = scratch_ + "/state";
  options_.cgroup_root =
      "/moored-test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
  options_.instance = "abcdef";
  options_.shim_path = std::string(MOORED_BIN_DIR) + "/moored-shim";
  options_.probe_path = std::string(MOORED_BIN_DIR) + "/moored-probe";
  options_.probe_user = {65534, 65534};
  build_rootfs();
  make_net_namespace();
  restart();
}

SandboxFixture::~SandboxFixture() {
  if (!sandbox_) {
    auto made = container::ShimSandbox::create(options_);
    if (made) sandbox_ = *std::move(made);
  }
  if (sandbox_) {
    static_cast<void>(sandbox_->adopt());
    kill_leftovers();
    auto released = sandbox_->release();
    if (!released) WARN("release: " << released.error().text());
  }
  sandbox_.reset();
  static_cast<void>(container::release_run_dir(options_.run_dir));
  ::umount2(net_.c_str(), MNT_DETACH);
  auto removed = remove_tree(scratch_);
  if (!removed) WARN("clean up: " << removed.error().text());
}

void SandboxFixture::kill_leftovers() {
  for (const auto& uid : uids_) {
    const auto listed = sandbox_->list_containers(uid);
    if (!listed) continue;
    for (const auto& container : *listed) {
      if (container.phase == ContainerPhase::exited) continue;
      static_cast<void>(
          sandbox_->signal_container(uid, container.name, container.attempt, SIGKILL, true));
    }
    const auto deadline = Steady::now() + kPatience;
    auto removed = sandbox_->remove_pod(uid);
    while (!removed && Steady::now() < deadline) {
      static_cast<void>(sandbox_->wait_events(milliseconds(20)));
      removed = sandbox_->remove_pod(uid);
    }
    if (!removed) WARN("remove pod: " << removed.error().text());
  }
}

void SandboxFixture::stop() {
  sandbox_.reset();
}

void SandboxFixture::restart() {
  sandbox_.reset();
  auto made = container::ShimSandbox::create(options_);
  if (!made) FAIL(made.error().text());
  sandbox_ = *std::move(made);
}

void SandboxFixture::build_rootfs() const {
  const std::string busybox = find_busybox();
  for (const char* name : {"/bin", "/etc", "/tmp", "/proc", "/sys", "/dev", "/data"}) {
    REQUIRE(make_directories(rootfs_ + name, 0755));
  }
  ::chmod(rootfs_.c_str(), 0755);
  ::chmod((rootfs_ + "/tmp").c_str(), 01777);
  const auto program = read_file(busybox);
  REQUIRE(program);
  REQUIRE(write_file(rootfs_ + "/bin/busybox", *program, true, 0755));
  for (const char* applet :
       {"sh",   "cat",     "sleep",    "id",   "mount",  "touch", "stat", "ls",       "echo",
        "head", "grep",    "hostname", "nc",   "httpd",  "dd",    "wc",   "readlink", "mkdir",
        "ps",   "unshare", "mknod",    "seq",  "kill",   "tail",  "true", "false",    "printf",
        "yes",  "cut",     "tr",       "ipcs", "sysctl", "rm",    "pwd",  "env"}) {
    REQUIRE(::symlink("busybox", (rootfs_ + "/bin/" + applet).c_str()) == 0);
  }
  const auto inside = read_file(std::string(MOORED_BIN_DIR) + "/../tests/test_inside");
  REQUIRE(inside);
  REQUIRE(write_file(rootfs_ + "/bin/inside", *inside, true, 0755));
  REQUIRE(write_file(rootfs_ + "/etc/passwd", "root:x:0:0:root:/:/bin/sh\n", true, 0644));
}

void SandboxFixture::make_net_namespace() const {
  REQUIRE(write_file(net_, "", true));
  bool made = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    bring_loopback_up();
    made = ::mount("/proc/thread-self/ns/net", net_.c_str(), nullptr, MS_BIND, nullptr) == 0;
  }).join();
  REQUIRE(made);
}

PodSandboxSpec SandboxFixture::pod(const std::string& uid) const {
  PodSandboxSpec spec;
  spec.uid = uid;
  spec.namespace_name = "default";
  spec.name = "web";
  spec.hostname = "web";
  spec.qos_class = "Burstable";
  spec.limits.cpu_request_milli = 100;
  spec.log_directory = scratch_ + "/log/" + uid;
  return spec;
}

ContainerSpec SandboxFixture::container(const std::string& name, const std::string& script,
                                        int attempt) const {
  ContainerSpec spec;
  spec.name = name;
  spec.attempt = attempt;
  spec.container_id = std::string(64, 'a');
  spec.lower_directories = {rootfs_};
  spec.arguments = {"/bin/sh", "-c", script};
  spec.environment = {"PATH=/bin"};
  spec.capabilities = kDefaultCapabilities;
  spec.no_new_privileges = false;
  spec.seccomp_profile = "RuntimeDefault";
  spec.oom_score_adjust = 500;
  spec.log_path = scratch_ + "/log/" + name + "/" + std::to_string(attempt) + ".log";
  return spec;
}

void SandboxFixture::make_pod(const PodSandboxSpec& spec) {
  uids_.push_back(spec.uid);
  const auto made = sandbox_->create_pod(spec, spec.host_network ? "" : net_);
  if (!made) FAIL(made.error().text());
}

void SandboxFixture::make_and_start(const std::string& uid, const ContainerSpec& spec) {
  const auto made = sandbox_->create_container(uid, spec);
  if (!made) FAIL("create: " << made.error().text());
  const auto started = sandbox_->start_container(uid, spec.name, spec.attempt);
  if (!started) FAIL("start: " << started.error().text());
}

ContainerReport SandboxFixture::wait_exit(const std::string& uid, const std::string& name,
                                          int attempt) {
  const auto deadline = Steady::now() + kPatience;
  while (Steady::now() < deadline) {
    const auto listed = sandbox_->list_containers(uid);
    if (!listed) FAIL(listed.error().text());
    for (const auto& report : *listed) {
      if (report.name == name && report.attempt == attempt &&
          report.phase == ContainerPhase::exited) {
        return report;
      }
    }
    static_cast<void>(sandbox_->wait_events(milliseconds(50)));
  }
  FAIL("container " << name << " does not end");
  return {};
}

std::string SandboxFixture::log_text(const ContainerSpec& spec, const std::string& stream) const {
  std::ifstream file(spec.log_path);
  std::string line;
  std::string out;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string time, name, tag;
    words >> time >> name >> tag;
    words.get();
    if (name != stream) continue;
    std::string rest;
    std::getline(words, rest);
    out += rest;
    if (tag == "F") out += '\n';
  }
  return out;
}

std::string SandboxFixture::wait_log(const ContainerSpec& spec, const std::string& text) const {
  const auto deadline = Steady::now() + kPatience;
  while (Steady::now() < deadline) {
    const auto log = log_text(spec);
    if (log.find(text) != std::string::npos) return log;
    std::this_thread::sleep_for(milliseconds(5));
  }
  FAIL("the log never says " << text << " but " << log_text(spec) << log_text(spec, "stderr"));
  return {};
}

std::string SandboxFixture::output_of(const std::string& script) {
  return output_of(container("probe-" + std::to_string(next_attempt_++), script));
}

std::string SandboxFixture::output_of(const ContainerSpec& spec) {
  if (uids_.empty()) make_pod(pod());
  make_and_start(uids_.back(), spec);
  const auto report = wait_exit(uids_.back(), spec.name, spec.attempt);
  INFO("exit " << report.exit_code << " stderr " << log_text(spec, "stderr"));
  return log_text(spec);
}

std::string SandboxFixture::own_mounts() const {
  std::istringstream lines(read_file("/proc/self/mountinfo").value_or(""));
  std::string line;
  std::string own;
  while (std::getline(lines, line)) {
    if (line.find(scratch_) != std::string::npos) own += line + "\n";
  }
  return own;
}

std::string SandboxFixture::group_value(const std::string& group, const std::string& file) const {
  for (const auto& mount : cgroup_mounts()) {
    auto text = read_file(mount + options_.cgroup_root + "/" + group + "/" + file, 65536);
    if (!text) continue;
    while (!text->empty() && text->back() == '\n') text->pop_back();
    return *text;
  }
  return {};
}

std::vector<std::string> SandboxFixture::cgroup_mounts() {
  std::vector<std::string> mounts;
  const auto controllers = cgroup::read_controllers();
  if (controllers) {
    for (const auto& entry : *controllers)
      mounts.push_back(entry.mount_point);
  }
  const auto mountinfo = read_file("/proc/self/mountinfo");
  if (mountinfo) mounts.push_back(cgroup::find_unified(*mountinfo));
  return mounts;
}

}  // namespace moored::test
