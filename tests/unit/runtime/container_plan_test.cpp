// Step lists: what they are, and that every failure undoes all that was done.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "runtime/container/event_queue.hpp"
#include "runtime/container/plan.hpp"

using namespace moored;
using namespace moored::container;

namespace {

const Roots kRoots{"/run/m", "/var/m"};
constexpr const char* kUid = "0a-1b";

PodSandboxSpec make_pod() {
  PodSandboxSpec pod;
  pod.uid = kUid;
  pod.namespace_name = "default";
  pod.name = "web";
  pod.hostname = "web";
  pod.qos_class = "Burstable";
  pod.limits.cpu_request_milli = 100;
  return pod;
}

ContainerSpec make_container() {
  ContainerSpec spec;
  spec.name = "main";
  spec.attempt = 2;
  spec.container_id = "cid";
  spec.lower_directories = {"/l/top", "/l/bottom"};
  spec.arguments = {"/bin/app", "x"};
  spec.environment = {"A=1"};
  spec.capabilities = 0xa80425fb;
  spec.seccomp_profile = "RuntimeDefault";
  spec.limits.memory_limit_bytes = 64;
  return spec;
}

MachineFacts make_facts() {
  MachineFacts facts;
  facts.own_capabilities = 0x1ffffffffff;
  return facts;
}

Result<std::vector<HostStep>> plan(const ContainerSpec& spec,
                                   const PodSandboxSpec& pod = make_pod()) {
  return plan_container(pod, spec, kRoots, {"/cg/x", {"/v1/x/tasks"}, "/cg/x/memory.events"},
                        make_facts());
}

std::vector<shim::Step> child_steps(const ContainerSpec& spec,
                                    const PodSandboxSpec& pod = make_pod(), bool pure_v2 = false) {
  auto facts = make_facts();
  facts.pure_v2 = pure_v2;
  const auto at = pod_paths(kRoots, pod.uid, pod.qos_class);
  const auto paths = container_paths(kRoots, at, pod.uid, spec.name, spec.attempt);
  auto steps = plan_child(pod, spec, at, paths, seccomp_file(spec, kRoots), facts);
  REQUIRE(steps);
  return *steps;
}

std::string join(const std::vector<HostStep>& steps) {
  std::string out;
  for (const auto& step : steps)
    out += describe(step) + "\n";
  return out;
}

std::string join(const std::vector<shim::Step>& steps) {
  std::string out;
  for (const auto& step : steps) {
    out += step_name(step.type);
    for (const auto& part : {step.source, step.target, step.options}) {
      if (!part.empty()) out += " " + part;
    }
    for (const auto& word : step.list)
      out += " " + word;
    out += "\n";
  }
  return out;
}

// Counts, and fails where it is told to.
class FakeHost final : public StepHost {
 public:
  explicit FakeHost(int fail_at) : fail_at_(fail_at) {}
  Status carry_out(const HostStep& step) override {
    if (static_cast<int>(done.size()) == fail_at_) return fail(Code::internal, "told to fail");
    done.push_back(describe(step));
    return {};
  }
  Status undo(const HostStep& step) override {
    undone.push_back(describe(step));
    if (stubborn && undone.size() == 1) return fail(Code::conflict, "busy");
    return {};
  }
  std::vector<std::string> done;
  std::vector<std::string> undone;
  bool stubborn = false;

 private:
  int fail_at_;
};

}  // namespace

TEST_CASE("the steps of a pod") {
  auto pod = make_pod();
  pod.sysctls["net.ipv4.tcp_syncookies"] = "1";
  const auto steps = plan_pod(pod, "/run/m/net", kRoots);
  REQUIRE(steps);
  CHECK(join(*steps) ==
        "directory /run/m/pods/0a-1b\n"
        "file /run/m/pods/0a-1b/pod.json\n"
        "file /run/m/pods/0a-1b/sandbox.json\n"
        "file /run/m/pods/0a-1b/limits.json\n"
        "group pods/burstable/pod0a-1b\n"
        "limits pods/burstable/pod0a-1b cpu 100m/max memory max pids max\n"
        "directory /run/m/pods/0a-1b/shm\n"
        "shared-memory /run/m/pods/0a-1b/shm\n"
        "shim /run/m/pods/0a-1b\n"
        "sysctls /run/m/pods/0a-1b net.ipv4.tcp_syncookies=1\n");
  const auto order = shim::pod_order_from(steps->at(2).text);
  REQUIRE(order);
  CHECK(order->namespaces == std::vector<std::string>{"net=/run/m/net"});
  CHECK(order->new_namespaces == std::vector<std::string>{"ipc", "uts"});
  CHECK(order->hostname == pod.hostname);
}

TEST_CASE("a pod of the node's namespaces has none of its own") {
  auto pod = make_pod();
  pod.host_network = pod.host_ipc = true;
  pod.qos_class = "BestEffort";
  const auto steps = plan_pod(pod, "", kRoots);
  REQUIRE(steps);
  const auto text = join(*steps);
  const auto order = shim::pod_order_from(steps->at(2).text);
  REQUIRE(order);
  CHECK(order->namespaces.empty());
  CHECK(order->new_namespaces.empty());
  CHECK(text.find("shared-memory") == std::string::npos);
  CHECK(text.find("group pods/besteffort/pod0a-1b\n") != std::string::npos);
  CHECK(pod_group("u", "Guaranteed") == "pods/podu");
}

TEST_CASE("pods that cannot be are refused") {
  CHECK_FALSE(plan_pod(make_pod(), "", kRoots));  // neither its own network nor the node's
  auto pod = make_pod();
  pod.host_network = true;
  CHECK_FALSE(plan_pod(pod, "/net", kRoots));
  for (const char* uid : {"", "..", "a/b", ".x", "A", "a b", "-x"}) {
    pod = make_pod();
    pod.uid = uid;
    INFO(uid);
    CHECK_FALSE(plan_pod(pod, "/net", kRoots));
  }
  struct Row {
    const char* name;
    const char* value;
    bool host_network;
    bool allowed;
  };
  for (const auto& row :
       {Row{"net.ipv4.tcp_syncookies", "1", false, true},
        Row{"net/ipv4/tcp_syncookies", "1", false, true},
        Row{"net.ipv4.tcp_syncookies", "1", true, false},
        Row{"net.ipv4.tcp_syncookies", "1\nx", false, false},
        Row{"net.ipv4.tcp_syncookies", "", false, false}, Row{"kernel.msgmax", "1", false, false},
        Row{"kernel.shm_rmid_forced", "1", true, true}, Row{"../etc/passwd", "1", false, false},
        Row{"kernel.core_pattern", "|x", false, false}}) {
    pod = make_pod();
    pod.host_network = row.host_network;
    pod.sysctls[row.name] = row.value;
    INFO(row.name);
    const auto steps = plan_pod(pod, row.host_network ? "" : "/net", kRoots);
    CHECK(steps.has_value() == row.allowed);
    if (!steps) CHECK(steps.error().reason == "SysctlForbidden");
  }
}

TEST_CASE("the steps of a container on the host") {
  const auto steps = plan(make_container());
  REQUIRE(steps);
  CHECK(join(*steps) ==
        "directory /run/m/pods/0a-1b/c/main/2\n"
        "directory /run/m/pods/0a-1b/c/main/2/root\n"
        "directory /var/m/containers/0a-1b/main-2\n"
        "directory /var/m/containers/0a-1b/main-2/upper\n"
        "directory /var/m/containers/0a-1b/main-2/work\n"
        "group pods/burstable/pod0a-1b/main-2\n"
        "limits pods/burstable/pod0a-1b/main-2 cpu 0m/max memory 64 pids max leaf\n"
        "devices pods/burstable/pod0a-1b/main-2\n"
        "file /run/m/pods/0a-1b/c/main/2/limits.json\n"
        "file /run/m/pods/0a-1b/c/main/2/spec.json\n"
        "create /run/m/pods/0a-1b/c/main/2/spec.json main/2\n");
  CHECK(*plan(make_container()) == *steps);
  auto free = make_container();
  free.privileged = true;
  CHECK(join(*plan(free)).find("devices") == std::string::npos);
}

TEST_CASE("a volume of the image is a mount of its own among the others") {
  auto spec = make_container();
  spec.mounts = {{"", "/data/inner", false, ""}, {"/v/top", "/data", false, ""}};
  const auto steps = join(child_steps(spec));
  const auto outer = steps.find("bind /v/top /data\n");
  REQUIRE(outer != std::string::npos);
  CHECK(steps.find("own-volume /data/inner\n") > outer);
  CHECK(steps.find("own-volume /data/inner\n") != std::string::npos);
}

TEST_CASE("the steps of the child") {
  auto spec = make_container();
  spec.mounts = {{"/v/deep", "/data/inner", false, "s"}, {"/v/top", "/data", true, ""}};
  spec.read_only_root = true;
  spec.uid = 1000;
  spec.gid = 7;
  spec.groups = {9, 7, 8};
  const std::string masks =
      "mask /proc/acpi\nmask /proc/asound\nmask /proc/interrupts\nmask /proc/kcore\n"
      "mask /proc/keys\nmask /proc/latency_stats\nmask /proc/timer_list\nmask /proc/timer_stats\n"
      "mask /proc/sched_debug\nmask /proc/scsi\nmask /sys/firmware\n"
      "mask /sys/devices/virtual/powercap\n"
      "read-only /proc/bus\nread-only /proc/fs\nread-only /proc/irq\nread-only /proc/sys\n"
      "read-only /proc/sysrq-trigger\n";
  CHECK(join(child_steps(spec)) ==
        "session\n"
        "private-mounts\n"
        "cgroup-view\n"
        "overlay-root /var/m/containers/0a-1b/main-2/upper /run/m/pods/0a-1b/c/main/2/root "
        "work=/var/m/containers/0a-1b/main-2/work,nosuid /l/top /l/bottom\n"
        "mount proc /proc nosuid,nodev,noexec\n"
        "mount tmpfs /dev nosuid,strictatime mode=0755 size=65536k\n"
        "devices /dev\n"
        "mount devpts /dev/pts nosuid,noexec newinstance ptmxmode=0666 mode=0620 gid=5\n"
        "bind /run/m/pods/0a-1b/shm /dev/shm nosuid,nodev,noexec\n"
        "mount mqueue /dev/mqueue nosuid,nodev,noexec\n"
        "mount sysfs /sys nosuid,nodev,noexec,ro\n"
        "bind /v/top /data ro\n"
        "bind /v/deep /data/inner\n" +
            masks +
            "pivot\n"
            "read-only-root\n"
            "working-directory /\n"
            "limits nofile=1048576 nproc=unlimited\n"
            "bounding\n"
            "ids 7 8 9\n"
            "capabilities\n"
            "no-new-privileges\n"
            "environment A=1\n"
            "ready\n"
            "seccomp /run/m/seccomp/00000000a80425fb.bpf\n"
            "execute /bin/app x\n");
}

TEST_CASE("rights follow the user and no_new_privs") {
  auto spec = make_container();
  const auto number_of = [](const std::vector<shim::Step>& steps, shim::StepType type) {
    const auto found = std::find_if(steps.begin(), steps.end(),
                                    [&](const shim::Step& step) { return step.type == type; });
    REQUIRE(found != steps.end());
    return found->number;
  };
  CHECK(number_of(child_steps(spec), shim::StepType::capabilities) == 0xa80425fb);
  spec.uid = 5;
  CHECK(number_of(child_steps(spec), shim::StepType::capabilities) == 0);
  CHECK(number_of(child_steps(spec), shim::StepType::bounding) == 0xa80425fb);
  // Without no_new_privs the filter needs rights to be loaded, so it comes before they go.
  spec.no_new_privileges = false;
  const auto text = join(child_steps(spec));
  CHECK(text.find("seccomp-early") < text.find("bounding"));
  CHECK(text.find("no-new-privileges") == std::string::npos);
  spec.privileged = true;
  const auto all = join(child_steps(spec));
  CHECK(all.find("seccomp") == std::string::npos);
  CHECK(all.find("mask") == std::string::npos);
  CHECK(all.find("sysfs /sys nosuid,nodev,noexec\n") != std::string::npos);
  CHECK(number_of(child_steps(spec), shim::StepType::bounding) == make_facts().own_capabilities);
}

TEST_CASE("what a volume covers is not made") {
  auto spec = make_container();
  spec.mounts = {{"/v", "/dev", false, ""}};
  CHECK(join(child_steps(spec)).find("devices /dev") == std::string::npos);
  spec.mounts = {{"/v", "/dev/shm", false, ""}};
  CHECK(join(child_steps(spec)).find("/shm /dev/shm") == std::string::npos);
  spec.mounts = {};
  CHECK(join(child_steps(spec, make_pod(), true)).find("mount cgroup2 /sys/fs/cgroup") !=
        std::string::npos);
  spec.tty = true;
  CHECK(join(child_steps(spec)).find("console") != std::string::npos);
}

TEST_CASE("containers that cannot be are refused") {
  const auto refused = [](void (*change)(ContainerSpec&)) {
    auto spec = make_container();
    change(spec);
    const auto steps = plan(spec);
    return !steps && steps.error().code == Code::invalid;
  };
  CHECK(refused([](auto& spec) { spec.name = "a/b"; }));
  CHECK(refused([](auto& spec) { spec.name = kPauseName; }));
  CHECK(refused([](auto& spec) { spec.attempt = -1; }));
  CHECK(refused([](auto& spec) { spec.lower_directories.clear(); }));
  CHECK(refused([](auto& spec) { spec.arguments.clear(); }));
  CHECK(refused([](auto& spec) { spec.arguments = {""}; }));
  CHECK(refused([](auto& spec) { spec.arguments = {std::string("a\0b", 3)}; }));
  CHECK(refused([](auto& spec) { spec.seccomp_profile = ""; }));
  CHECK(refused([](auto& spec) { spec.mounts = {{"/v", "/", false, ""}}; }));
  CHECK(refused([](auto& spec) { spec.mounts = {{"/v", "/proc/x", false, ""}}; }));
  CHECK(refused([](auto& spec) { spec.mounts = {{"/v", "rel", false, ""}}; }));
  CHECK(refused([](auto& spec) { spec.mounts = {{"/v", "/a/../b", false, ""}}; }));
  CHECK(refused([](auto& spec) {
    spec.mounts = {{"/v", "/a", false, ""}, {"/w", "/a/", false, ""}};
  }));
  CHECK(refused([](auto& spec) { spec.capabilities = 1ULL << 60U; }));
}

TEST_CASE("a failure at any step undoes all steps before it, in reverse") {
  const auto steps = *plan(make_container());
  const auto all = static_cast<int>(steps.size());
  for (int n = 0; n < all; ++n) {
    FakeHost host(n);
    const auto result = run_steps(steps, host);
    REQUIRE_FALSE(result);
    // The step that failed half way is undone too.
    REQUIRE(static_cast<int>(host.undone.size()) == n + 1);
    REQUIRE(result.error().message ==
            std::string(host_step_name(steps[static_cast<std::size_t>(n)].type)) +
                ": told to fail");
    std::reverse(host.undone.begin(), host.undone.end());
    host.undone.pop_back();
    REQUIRE(host.undone == host.done);
  }
  FakeHost host(all);
  CHECK(run_steps(steps, host));
  CHECK(host.undone.empty());
}

TEST_CASE("undoing goes on after a failure and tells the first") {
  const auto steps = *plan(make_container());
  FakeHost host(-1);
  host.stubborn = true;
  const auto result = undo_steps(steps, host);
  CHECK(result.error().code == Code::conflict);
  // What tells of the rest stays for the next try.
  std::vector<std::string> expected;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const bool record = step->type == HostStepType::file || step->type == HostStepType::directory;
    if (!record || expected.empty()) expected.push_back(describe(*step));
  }
  CHECK(host.undone == expected);
  CHECK(host.undone.size() < steps.size());
}

TEST_CASE("pod.json and limits.json come back whole") {
  auto pod = make_pod();
  pod.resource_version = 77;
  pod.owner_uids = {"o1", "o2"};
  pod.pod_json = "{\"kind\":\"Pod\",\n\"x\":\"\\u00e9\"}";
  pod.log_directory = "/log";
  pod.host_pid = true;
  pod.share_process_namespace = true;
  pod.sysctls = {{"a.b", "1 2"}, {"c", "x=y"}};
  pod.limits.cpu_limit_milli = 0;
  pod.limits.memory_limit_bytes = 5;
  const auto back = parse_pod(format_pod(pod, "/net"));
  REQUIRE(back);
  CHECK(back->net_namespace == "/net");
  CHECK(back->spec.uid == pod.uid);
  CHECK(back->spec.resource_version == 77);
  CHECK(back->spec.owner_uids == pod.owner_uids);
  CHECK(back->spec.pod_json == pod.pod_json);
  CHECK(back->spec.limits == pod.limits);
  CHECK(back->spec.sysctls == pod.sysctls);
  CHECK(back->spec.host_pid);
  CHECK(back->spec.share_process_namespace);
  CHECK_FALSE(back->spec.host_network);
  CHECK_FALSE(parse_pod("{}\n"));
  CHECK_FALSE(parse_pod("not json\n"));
  CHECK(*parse_limits(format_limits(pod.limits)) == pod.limits);
  CHECK(*parse_limits(format_limits({})) == CgroupLimits{});
}

TEST_CASE("events are bounded and taken in order") {
  EventQueue queue;
  CHECK(queue.take(std::chrono::milliseconds(0)).empty());
  for (std::size_t i = 0; i < EventQueue::kMaxEvents + 3; ++i) {
    SandboxEvent event;
    event.container.attempt = static_cast<int>(i);
    queue.push(event);
  }
  const auto taken = queue.take(std::chrono::milliseconds(0));
  REQUIRE(taken.size() == EventQueue::kMaxEvents);
  CHECK(taken.front().container.attempt == 3);
  CHECK(queue.dropped() == 3);
  CHECK(queue.take(std::chrono::milliseconds(0)).empty());
}
