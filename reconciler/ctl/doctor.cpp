// The verdicts of the doctor, one pure function for each check.
#include "reconciler/ctl/doctor.hpp"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/render.hpp"
#include "schema/codec/text.hpp"

namespace moored::ctl {
namespace {

constexpr std::int64_t kGibibyte = std::int64_t{1} << 30U;
constexpr std::int64_t kLeastFree = kGibibyte;          // below it images do not fit
constexpr std::int64_t kLowFree = 5 * kGibibyte;
constexpr std::int64_t kLowFiles = 50'000;               // an image may have as many

// Debian 12's kernel is the oldest that moored is tested on; cgroup.kill came with 5.14.
constexpr std::array<int, 2> kOldestKernel{5, 14};
constexpr std::array<int, 2> kTestedKernel{6, 1};

Finding good(const char* check, std::string found) {
  return {check, Verdict::good, std::move(found), {}};
}
Finding warning(const char* check, std::string found, std::string mend) {
  return {check, Verdict::warning, std::move(found), std::move(mend)};
}
Finding failure(const char* check, std::string found, std::string mend) {
  return {check, Verdict::failure, std::move(found), std::move(mend)};
}

template <class Words>
std::string join(const Words& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

// Those of the wanted words that are not among the words found.
std::vector<std::string> missing_of(std::initializer_list<const char*> wanted,
                                    const std::set<std::string>& found) {
  std::vector<std::string> missing;
  for (const char* word : wanted) {
    if (found.count(word) == 0) missing.emplace_back(word);
  }
  return missing;
}

// The first two numbers of a release; zeros when it has none.
std::array<int, 2> version_of(const std::string& release) {
  std::array<int, 2> version{};
  const char* at = release.data();
  const char* end = at + release.size();
  for (auto& number : version) {
    const auto read = std::from_chars(at, end, number);
    at = read.ptr == end ? end : read.ptr + 1;
  }
  return version;
}

Finding judge_rights(const MachineFacts& facts) {
  if (facts.root) return good("rights", "root");
  return warning("rights", "not run as root, so not everything could be looked at",
                 "run it with sudo");
}

Finding judge_kernel(const MachineFacts& facts) {
  const auto version = version_of(facts.kernel);
  if (version < kOldestKernel || !facts.missing_calls.empty()) {
    const auto calls = facts.missing_calls.empty() ? "" : " without " + join(facts.missing_calls);
    return failure("kernel", "Linux " + facts.kernel + calls,
                   "moored needs Linux 5.14: install linux-image-amd64 of Debian 12 or later");
  }
  if (version < kTestedKernel) {
    return warning("kernel", "Linux " + facts.kernel + " is older than what moored is tested on",
                   "install linux-image-amd64 of Debian 12 or later");
  }
  return good("kernel", "Linux " + facts.kernel);
}

// Each controller may be in either version; limits need three, and v1 also what v2 has built in.
Finding judge_cgroups(const MachineFacts& facts) {
  const char* kMend = "boot with systemd.unified_cgroup_hierarchy=1 and without "
                      "cgroup_disable= or cgroup_no_v1= on the kernel's command line";
  auto all = facts.v2_controllers;
  all.insert(facts.v1_controllers.begin(), facts.v1_controllers.end());
  const auto missing = missing_of({"cpu", "memory", "pids"}, all);
  if (facts.unified.empty() && facts.v1_controllers.empty()) {
    return failure("cgroups", "no hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup");
  }
  if (!missing.empty()) return failure("cgroups", "no controller " + join(missing), kMend);
  if (facts.unified.empty()) {
    const auto lost = missing_of({"devices", "freezer"}, facts.v1_controllers);
    if (!lost.empty()) return failure("cgroups", "v1 without " + join(lost), kMend);
    return warning("cgroups", "v1 only: groups are killed process by process",
                   "boot with systemd.unified_cgroup_hierarchy=1");
  }
  return good("cgroups", facts.v1_controllers.empty() ? "v2" : "v1 with v2 beside it");
}

Finding judge_namespaces(const MachineFacts& facts) {
  const auto missing = missing_of({"mnt", "net", "pid", "ipc", "uts"}, facts.namespaces);
  if (!missing.empty()) {
    return failure("namespaces", "the kernel has none of " + join(missing),
                   "run a kernel of Debian, outside of a container");
  }
  if (!facts.closed_namespaces.empty()) {
    const auto& kind = facts.closed_namespaces.front();
    return failure("namespaces", "none may be made of " + join(facts.closed_namespaces),
                   "sysctl -w user.max_" + kind + "_namespaces=63000");
  }
  return good("namespaces", "mnt, net, pid, ipc, uts");
}

Finding judge_overlay(const MachineFacts& facts) {
  if (facts.file_systems.count("overlay") == 0) {
    return failure("overlay", "the kernel has no overlay file system",
                   "modprobe overlay, or install the kernel's modules");
  }
  return good("overlay", "there");
}

Finding judge_seccomp(const MachineFacts& facts) {
  const auto missing = missing_of({"errno", "allow", "kill_process"}, facts.seccomp_actions);
  if (missing.empty()) return good("seccomp", "there");
  return failure("seccomp", "filters of system calls cannot " + join(missing),
                 "run a kernel with CONFIG_SECCOMP_FILTER");
}

Finding judge_landlock(const MachineFacts& facts) {
  if (facts.landlock) return good("landlock", "there");
  return warning("landlock", "not there: the unpacking worker has one wall less",
                 "add landlock to lsm= on the kernel's command line");
}

// What setting containers up takes. Raising limits above one's own is wished for, not needed.
Finding judge_capabilities(const MachineFacts& facts) {
  constexpr std::array<std::pair<int, const char*>, 11> kNeeded{{
      {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
      {CAP_SYS_CHROOT, "CAP_SYS_CHROOT"}, {CAP_SETUID, "CAP_SETUID"},
      {CAP_SETGID, "CAP_SETGID"}, {CAP_SETPCAP, "CAP_SETPCAP"}, {CAP_CHOWN, "CAP_CHOWN"},
      {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"}, {CAP_FOWNER, "CAP_FOWNER"},
      {CAP_KILL, "CAP_KILL"}, {CAP_MKNOD, "CAP_MKNOD"}}};
  const auto has = [&](int bit) { return (facts.capabilities >> static_cast<unsigned>(bit)) & 1U; };
  std::vector<std::string> missing;
  for (const auto& [bit, name] : kNeeded) {
    if (!has(bit)) missing.emplace_back(name);
  }
  if (!missing.empty()) {
    return failure("capabilities", "root has no " + join(missing),
                   "run moored on the machine itself, or give its container these capabilities");
  }
  if (!has(CAP_SYS_RESOURCE)) {
    return warning("capabilities", "no CAP_SYS_RESOURCE: shims and guaranteed pods are not kept "
                   "from the kernel's out-of-memory choice", "give it to the daemon");
  }
  return good("capabilities", "all that are needed");
}

Finding judge_packets(const MachineFacts& facts) {
  if (!facts.nft_error) return good("nftables", "there");
  return failure("nftables", *facts.nft_error,
                 "apt-get install nftables, and modprobe nf_tables if it is a module");
}

// A packet must be let through by every chain at the hook: an accept of moored's does not help.
Finding judge_firewall(const MachineFacts& facts) {
  if (facts.dropping.empty() && facts.legacy_tables.empty()) {
    return good("firewall", "nobody drops what is forwarded");
  }
  if (facts.dropping.empty()) {
    return warning("firewall", "the old iptables has rules, which cannot be looked into here: " +
                   join(facts.legacy_tables),
                   "iptables-legacy -S FORWARD; if it drops, let pods through or use iptables-nft");
  }
  std::vector<std::string> chains;
  for (const auto& chain : facts.dropping) chains.push_back(chain.table + " " + chain.chain);
  const auto& first = facts.dropping.front();
  const std::string rule = "nft insert rule " + first.table + " " + first.chain;
  return warning("firewall", "what pods send is dropped by " + join(chains) +
                 " (docker, ufw and firewalld do that)",
                 "let pods through, at every start of that firewall: " + rule +
                 " ip saddr 10.209.0.0/16 accept; " + rule + " ip daddr 10.209.0.0/16 accept");
}

Finding judge_forwarding(const MachineFacts& facts) {
  if (facts.forwarding.value_or(false)) return good("forwarding", "net.ipv4.ip_forward is on");
  return good("forwarding", "net.ipv4.ip_forward is off; moored switches it on while it runs");
}

Finding judge_programs(const MachineFacts& facts) {
  std::vector<std::string> missing;
  for (const auto& [name, path] : facts.programs) {
    if (path.empty() && name != "kubectl") missing.push_back(name);
  }
  if (!missing.empty()) {
    return failure("programs", "not found: " + join(missing),
                   "install the package moored, or name the workers' directory with --libexec-dir");
  }
  const auto kubectl = facts.programs.find("kubectl");
  if (kubectl != facts.programs.end() && kubectl->second.empty()) {
    return warning("programs", "kubectl is not installed, and nothing needs it",
                   "apt-get install kubernetes-client, to read objects with it");
  }
  return good("programs", "all found");
}

Finding judge_users(const MachineFacts& facts) {
  const auto missing = missing_of({"moored-git", "moored-probe", "moored-pull", "moored-unpack"},
                                  facts.users);
  if (missing.empty()) return good("users", "moored-git, moored-probe, moored-pull, moored-unpack");
  return warning("users", "no user " + join(missing) + " for what meets foreign bytes",
                 "systemd-sysusers moored.conf, which the package does, or for each: "
                 "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin NAME");
}

// One finding for each directory, because each is mended for itself.
Finding judge_disk(const DiskFacts& disk) {
  const std::string free = format_size(disk.free_bytes) + " free for " + disk.path;
  if (disk.free_bytes < kLeastFree) {
    return failure("disk", "only " + free, "make room, or give --state-dir another file system");
  }
  if (disk.files > 0 && disk.free_files < kLowFiles) {
    return warning("disk", "only " + std::to_string(disk.free_files) + " files more fit at " +
                   disk.path, "remove files, or make the file system with more inodes");
  }
  if (disk.type == "tmpfs" || disk.type == "ramfs") {
    return warning("disk", disk.path + " is in memory and lost at a restart of the machine",
                   "put it on a disk");
  }
  for (const char* type : {"nfs", "nfs4", "cifs", "9p", "overlay", "vfat"}) {
    if (disk.type != type) continue;
    return failure("disk", disk.path + " is on " + disk.type +
                   ", which containers cannot write above", "put it on ext4, xfs or btrfs");
  }
  if (disk.free_bytes < kLowFree) {
    return warning("disk", "only " + free, "make room before images need it");
  }
  return good("disk", free);
}

Finding judge_port(const MachineFacts& facts) {
  if (facts.api_port_free) return good("port", facts.api_address + " is free or moored's own");
  return failure("port", facts.api_address + " is taken by another program",
                 "write another address as listen in /etc/moored/moored.yaml; "
                 "ss -tlnp shows who has this one");
}

Finding judge_swap(const MachineFacts& facts) {
  if (facts.swap_bytes == 0) return good("swap", "none");
  const auto size = format_size(facts.swap_bytes);
  if (facts.swap_accounting) return good("swap", size + ", limited for containers");
  return warning("swap", size + " that containers cannot be limited in: one over its memory limit "
                 "is swapped before it is ended",
                 "boot with swapaccount=1, or swapoff -a");
}

Finding judge_clock(const MachineFacts& facts) {
  if (facts.clock_synchronised) return good("clock", "synchronised");
  return warning("clock", "not synchronised: certificates may look expired, and history has wrong "
                 "times", "apt-get install systemd-timesyncd");
}

Finding judge_supervisor(const MachineFacts& facts) {
  if (!facts.systemd) {
    return warning("supervisor", "systemd does not run here: nobody starts the daemon again",
                   "let a supervisor restart it, and end only the daemon's own process");
  }
  if (!facts.holder_active) {
    return warning("supervisor", "moored-pods.service does not hold a group for pods",
                   "systemctl start moored-pods, then moored; pods move with their next start");
  }
  return good("supervisor", "systemd, with moored-pods.service");
}

Finding judge_configuration(const MachineFacts& facts) {
  if (!facts.configuration_error) return good("configuration", "holds");
  return failure("configuration", *facts.configuration_error,
                 "man moored.yaml; an example is in /usr/share/doc/moored/examples");
}

}  // namespace

std::vector<Finding> judge_machine(const MachineFacts& facts) {
  std::vector<Finding> findings;
  for (const auto judge :
       {judge_rights, judge_kernel, judge_cgroups, judge_namespaces, judge_overlay, judge_seccomp,
        judge_landlock, judge_capabilities, judge_packets, judge_firewall, judge_forwarding,
        judge_programs, judge_users, judge_port, judge_swap, judge_clock, judge_supervisor,
        judge_configuration}) {
    findings.push_back(judge(facts));
  }
  for (const auto& disk : facts.disks) findings.push_back(judge_disk(disk));
  return findings;
}

std::vector<DroppingChain> find_dropping_chains(const std::string& listing) {
  std::vector<DroppingChain> dropping;
  const auto value = read_json(listing);
  if (!value || !value->is_map()) return dropping;
  for (const auto& item : items_in(*value, "nftables")) {
    const Value* chain = item.is_map() ? item.find("chain") : nullptr;
    if (chain == nullptr || !chain->is_map()) continue;
    const auto family = text_in(*chain, "family");
    const auto table = text_in(*chain, "table");
    const bool concerns = family == "ip" || family == "inet";
    if (!concerns || text_in(*chain, "hook") != "forward" || text_in(*chain, "policy") != "drop" ||
        table.rfind("moored_", 0) == 0) {
      continue;
    }
    dropping.push_back({family + " " + table, text_in(*chain, "name")});
  }
  return dropping;
}

Value findings_value(const std::vector<Finding>& findings) {
  constexpr std::array<const char*, 3> kWords{"good", "warning", "failure"};
  std::array<std::int64_t, 3> counts{};
  Value checks = Value::make_list();
  for (const auto& finding : findings) {
    const auto verdict = static_cast<std::size_t>(finding.verdict);
    ++counts[verdict];
    Value check = Value::make_map();
    check.put("check", Value::of_text(finding.check));
    check.put("verdict", Value::of_text(kWords[verdict]));
    check.put("found", Value::of_text(finding.found));
    check.put("mend", Value::of_text(finding.mend));
    checks.items.push_back(std::move(check));
  }
  Value out = Value::make_map();
  out.put("healthy", Value::of_boolean(counts[2] == 0));
  out.put("failures", Value::of_integer(counts[2]));
  out.put("warnings", Value::of_integer(counts[1]));
  out.put("checks", std::move(checks));
  return out;
}

}  // namespace moored::ctl
