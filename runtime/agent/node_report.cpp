#include "runtime/agent/node_report.hpp"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sstream>

#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

namespace moored {
namespace {

// The first line of a small file; empty when it cannot be read.
std::string read_line(const std::string& path) {
  std::string text = read_file(path, 4096).value_or("");
  return text.substr(0, text.find('\n'));
}

// PRETTY_NAME of os-release.
std::string read_os_image() {
  std::istringstream lines(read_file("/etc/os-release", 64U << 10U).value_or(""));
  std::string line;
  while (std::getline(lines, line)) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (line.rfind(kKey, 0) != 0) continue;
    line.erase(0, kKey.size());
    if (line.size() >= 2 && line.front() == '"') line = line.substr(1, line.size() - 2);
    return line;
  }
  return "Linux";
}

// The machine's name as Go and so Kubernetes spells it.
std::string spell_architecture(const std::string& machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

// Node conditions keep the reasons that clients of Kubernetes know.
void put_condition(Node& node, Time now, const char* type, bool holds, const char* reason,
                   const char* message) {
  Condition condition;
  condition.type = type;
  condition.status = holds ? "True" : "False";
  condition.reason = reason;
  condition.message = message;
  set_condition(node.status.conditions, std::move(condition), now);
}

}  // namespace

NodeFacts read_node_facts(const std::string& name, const std::string& state_dir) {
  NodeFacts facts;
  facts.name = name;
  facts.cpu = {static_cast<std::int64_t>(::sysconf(_SC_NPROCESSORS_ONLN)) * 1000};
  facts.memory = {static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
                  static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE))};
  struct statvfs disk {};
  if (::statvfs(state_dir.c_str(), &disk) == 0) {
    facts.storage = {static_cast<std::int64_t>(disk.f_blocks) *
                     static_cast<std::int64_t>(disk.f_frsize)};
  }
  struct utsname system {};
  if (::uname(&system) == 0) {
    facts.architecture = spell_architecture(system.machine);
    facts.kernel_version = system.release;
  }
  facts.os_image = read_os_image();
  facts.machine_id = read_line("/etc/machine-id");
  facts.system_uuid = read_line("/sys/class/dmi/id/product_uuid");
  if (facts.system_uuid.empty()) facts.system_uuid = facts.machine_id;
  facts.boot_id = read_boot_id().value_or("");
  return facts;
}

Node make_node(const NodeFacts& facts, const Node* before, Time now) {
  Node node = before != nullptr ? *before : Node{};
  node.metadata.name = facts.name;
  Labels& labels = node.metadata.labels;
  labels["kubernetes.io/hostname"] = facts.name;
  labels["kubernetes.io/os"] = "linux";
  labels["kubernetes.io/arch"] = facts.architecture;
  if (!facts.pod_cidr.empty()) {
    node.spec.pod_cidr = facts.pod_cidr;
    node.spec.pod_cidrs = {facts.pod_cidr};
  }
  ResourceList capacity;
  capacity["cpu"] = Quantity::of(facts.cpu);
  capacity["memory"] = Quantity::of(facts.memory);
  capacity["pods"] = Quantity::of_count(facts.max_pods);
  if (facts.storage.value > 0) capacity["ephemeral-storage"] = Quantity::of(facts.storage);
  node.status.capacity = capacity;
  node.status.allocatable = capacity;
  node.status.addresses = {{"InternalIP", facts.address}, {"Hostname", facts.name}};
  NodeSystemInfo& system = node.status.node_info;
  system.machine_id = facts.machine_id;
  system.system_uuid = facts.system_uuid;
  system.boot_id = facts.boot_id;
  system.kernel_version = facts.kernel_version;
  system.os_image = facts.os_image;
  system.operating_system = "linux";
  system.architecture = facts.architecture;
  system.container_runtime_version = "moored://" MOORED_VERSION;
  system.kubelet_version = "v" MOORED_VERSION "+moored";
  system.kube_proxy_version = system.kubelet_version;
  put_condition(node, now, "MemoryPressure", false, "KubeletHasSufficientMemory",
                "the node has enough memory");
  put_condition(node, now, "DiskPressure", false, "KubeletHasNoDiskPressure",
                "the node has no disk pressure");
  put_condition(node, now, "PIDPressure", false, "KubeletHasSufficientPID",
                "the node has enough process ids");
  put_condition(node, now, "Ready", true, "KubeletReady", "moored runs pods on this node");
  return node;
}

}  // namespace moored
