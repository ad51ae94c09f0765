// The doctor's verdicts over facts, its report, and one look at the machine that runs the tests.
#include "reconciler/ctl/doctor.hpp"

#include <linux/capability.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <functional>

#include "reconciler/ctl/commands.hpp"
#include "reconciler/ctl/members.hpp"
#include "reconciler/ctl/render.hpp"
#include "schema/codec/text.hpp"

using namespace moored;
using namespace moored::ctl;

namespace {

constexpr std::int64_t kGibibyte = std::int64_t{1} << 30U;

// A machine that nothing is to be said about.
MachineFacts healthy() {
  MachineFacts facts;
  facts.root = true;
  facts.kernel = "6.1.0-18-amd64";
  facts.unified = "/sys/fs/cgroup";
  facts.v2_controllers = {"cpuset", "cpu", "io", "memory", "pids"};
  facts.file_systems = {"ext4", "overlay", "tmpfs"};
  facts.namespaces = {"mnt", "net", "pid", "ipc", "uts", "user", "cgroup"};
  facts.seccomp_actions = {"kill_process", "errno", "allow", "log"};
  facts.landlock = true;
  facts.capabilities = ~std::uint64_t{0};
  facts.forwarding = true;
  facts.programs = {{"nft", "/usr/sbin/nft"}, {"kubectl", "/usr/bin/kubectl"},
                    {"moored", "/usr/sbin/moored"}, {"moored-git", "/x"},
                    {"moored-shim", "/x"}, {"moored-unpack", "/x"}};
  facts.users = {"moored-git", "moored-probe", "moored-pull", "moored-unpack"};
  facts.disks = {{"/var/lib/moored", "ext4", 40 * kGibibyte, 3'000'000, 4'000'000}};
  facts.api_address = "127.0.0.1:6446";
  facts.clock_synchronised = true;
  facts.systemd = true;
  facts.holder_active = true;
  return facts;
}

void without(MachineFacts& facts, int capability) {
  facts.capabilities &= ~(std::uint64_t{1} << static_cast<unsigned>(capability));
}

// What is changed about a healthy machine, and the one finding that must come of it.
struct Row {
  const char* what;
  std::function<void(MachineFacts&)> change;
  const char* check;
  Verdict verdict;
  const char* found;  // a part of what is said
  const char* mend;   // a part of the remedy
};

const std::vector<Row>& rows() {
  using F = MachineFacts;
  static const std::vector<Row> all{
      {"not root", [](F& f) { f.root = false; }, "rights", Verdict::warning, "not run", "sudo"},
      {"an old kernel", [](F& f) { f.kernel = "5.10.0-28-amd64"; }, "kernel", Verdict::failure,
       "5.10", "linux-image"},
      {"an untested kernel", [](F& f) { f.kernel = "5.15.0-1"; }, "kernel", Verdict::warning,
       "5.15", "linux-image"},
      {"no number", [](F& f) { f.kernel = "unknown"; }, "kernel", Verdict::failure, "unknown",
       "5.14"},
      {"a sandboxed kernel", [](F& f) { f.missing_calls = {"fsopen", "clone3"}; }, "kernel",
       Verdict::failure, "fsopen, clone3", "5.14"},
      {"no cgroups", [](F& f) { f.unified = ""; f.v2_controllers.clear(); }, "cgroups",
       Verdict::failure, "no hierarchy", "mount"},
      {"memory switched off", [](F& f) { f.v2_controllers.erase("memory"); }, "cgroups",
       Verdict::failure, "memory", "cgroup_disable"},
      {"bare v2 alone", [](F& f) { f.v2_controllers = {"hugetlb"}; }, "cgroups",
       Verdict::failure, "cpu, memory, pids", "unified"},
      {"v1 alone",
       [](F& f) {
         f.unified = "";
         f.v2_controllers.clear();
         f.v1_controllers = {"cpu", "memory", "pids", "devices", "freezer"};
       },
       "cgroups", Verdict::warning, "v1 only", "unified"},
      {"v1 that cannot freeze",
       [](F& f) {
         f.unified = "";
         f.v2_controllers.clear();
         f.v1_controllers = {"cpu", "memory", "pids"};
       },
       "cgroups", Verdict::failure, "devices, freezer", "unified"},
      {"no network namespaces", [](F& f) { f.namespaces.erase("net"); }, "namespaces",
       Verdict::failure, "net", "kernel of Debian"},
      {"namespaces closed", [](F& f) { f.closed_namespaces = {"net"}; }, "namespaces",
       Verdict::failure, "net", "user.max_net_namespaces"},
      {"no overlay", [](F& f) { f.file_systems.erase("overlay"); }, "overlay", Verdict::failure,
       "overlay", "modprobe"},
      {"no seccomp", [](F& f) { f.seccomp_actions.clear(); }, "seccomp", Verdict::failure,
       "errno", "CONFIG_SECCOMP_FILTER"},
      {"no landlock", [](F& f) { f.landlock = false; }, "landlock", Verdict::warning, "not there",
       "lsm="},
      {"in a container", [](F& f) { without(f, CAP_SYS_ADMIN); without(f, CAP_NET_ADMIN); },
       "capabilities", Verdict::failure, "CAP_SYS_ADMIN, CAP_NET_ADMIN", "machine itself"},
      {"no SYS_RESOURCE", [](F& f) { without(f, CAP_SYS_RESOURCE); }, "capabilities",
       Verdict::warning, "CAP_SYS_RESOURCE", "give it"},
      {"no nft", [](F& f) { f.nft_error = "nft is not installed"; }, "nftables",
       Verdict::failure, "not installed", "apt-get install nftables"},
      {"docker", [](F& f) { f.dropping = {{"ip filter", "FORWARD"}}; }, "firewall",
       Verdict::warning, "ip filter FORWARD", "nft insert rule ip filter FORWARD ip saddr"},
      {"docker with the old iptables", [](F& f) { f.legacy_tables = {"nat", "filter"}; },
       "firewall", Verdict::warning, "nat, filter", "iptables-legacy -S FORWARD"},
      {"no shim", [](F& f) { f.programs["moored-shim"] = ""; }, "programs", Verdict::failure,
       "moored-shim", "package moored"},
      {"no kubectl", [](F& f) { f.programs["kubectl"] = ""; }, "programs", Verdict::warning,
       "kubectl", "kubernetes-client"},
      {"no worker user", [](F& f) { f.users.erase("moored-git"); }, "users", Verdict::warning,
       "moored-git", "sysusers"},
      {"a full disk", [](F& f) { f.disks[0].free_bytes = 1000; }, "disk", Verdict::failure,
       "1000 B free", "make room"},
      {"little room", [](F& f) { f.disks[0].free_bytes = 2 * kGibibyte; }, "disk",
       Verdict::warning, "2.0 GiB free", "make room"},
      {"few inodes", [](F& f) { f.disks[0].free_files = 10; }, "disk", Verdict::warning,
       "10 files", "inodes"},
      {"state in memory", [](F& f) { f.disks[0].type = "tmpfs"; }, "disk", Verdict::warning,
       "in memory", "disk"},
      {"state on nfs", [](F& f) { f.disks[0].type = "nfs4"; }, "disk", Verdict::failure, "nfs4",
       "ext4"},
      {"port taken", [](F& f) { f.api_port_free = false; }, "port", Verdict::failure,
       "127.0.0.1:6446", "listen"},
      {"swap without limits", [](F& f) { f.swap_bytes = kGibibyte; }, "swap", Verdict::warning,
       "1.0 GiB", "swapaccount=1"},
      {"a free-running clock", [](F& f) { f.clock_synchronised = false; }, "clock",
       Verdict::warning, "not synchronised", "timesyncd"},
      {"no systemd", [](F& f) { f.systemd = false; }, "supervisor", Verdict::warning,
       "systemd does not run", "supervisor"},
      {"no holder", [](F& f) { f.holder_active = false; }, "supervisor", Verdict::warning,
       "moored-pods.service", "systemctl start"},
      {"a bad configuration", [](F& f) { f.configuration_error = "moored.yaml:3:1: no"; },
       "configuration", Verdict::failure, "moored.yaml:3:1", "man moored.yaml"}};
  return all;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a healthy machine has nothing to mend", "[doctor]") {
  for (const auto& finding : judge_machine(healthy())) {
    CAPTURE(finding.check, finding.found);
    CHECK(finding.verdict == Verdict::good);
    CHECK_FALSE(finding.found.empty());
    CHECK(finding.mend.empty());
  }
}

TEST_CASE("what is missing is found alone, with its remedy", "[doctor]") {
  for (const auto& row : rows()) {
    INFO(row.what);
    auto facts = healthy();
    row.change(facts);
    std::size_t told = 0;
    for (const auto& finding : judge_machine(facts)) {
      if (finding.verdict == Verdict::good) continue;
      ++told;
      CAPTURE(finding.found, finding.mend);
      CHECK(finding.check == row.check);
      CHECK(finding.verdict == row.verdict);
      CHECK(contains(finding.found, row.found));
      CHECK(contains(finding.mend, row.mend));
    }
    CHECK(told == 1);
  }
}

TEST_CASE("layouts that are as good are not complained about", "[doctor]") {
  auto hybrid = healthy();
  hybrid.unified = "/sys/fs/cgroup/unified";
  hybrid.v2_controllers = {"hugetlb"};
  hybrid.v1_controllers = {"cpu", "cpuacct", "memory", "pids", "devices", "freezer"};
  auto unforwarded = healthy();
  unforwarded.forwarding = false;
  auto limited = healthy();
  limited.swap_bytes = kGibibyte;
  limited.swap_accounting = true;
  auto btrfs = healthy();  // counts no inodes
  btrfs.disks = {{"/var/lib/moored", "btrfs", 40 * kGibibyte, 0, 0}};
  for (const auto& facts : {hybrid, unforwarded, limited, btrfs}) {
    for (const auto& finding : judge_machine(facts)) {
      CAPTURE(finding.check, finding.found);
      CHECK(finding.verdict == Verdict::good);
    }
  }
}

TEST_CASE("chains that drop what is forwarded are found, moored's own are not", "[doctor]") {
  const auto chain = [](const char* family, const char* table, const char* hook,
                        const char* policy) {
    return std::string(R"({"chain": {"family": ")") + family + R"(", "table": ")" + table +
           R"(", "name": "forward", "hook": ")" + hook + R"(", "policy": ")" + policy + R"("}})";
  };
  const auto listing = R"({"nftables": [{"metainfo": {"version": "1.0.6"}},)" +
                       chain("ip", "filter", "forward", "drop") + "," +
                       chain("inet", "firewalld", "forward", "drop") + "," +
                       chain("ip6", "filter", "forward", "drop") + "," +
                       chain("ip", "filter", "input", "drop") + "," +
                       chain("ip", "open", "forward", "accept") + "," +
                       chain("ip", "moored_1a2b3c", "forward", "drop") +
                       R"(,{"chain": {"family": "ip", "table": "nat", "name": "plain"}}]})";
  const auto dropping = find_dropping_chains(listing);
  REQUIRE(dropping.size() == 2);
  CHECK(dropping[0].table == "ip filter");
  CHECK(dropping[0].chain == "forward");
  CHECK(dropping[1].table == "inet firewalld");
  for (const auto* foreign : {"", "[]", "{\"nftables\": 3}", "{\"nftables\": [{\"chain\": 1}]}"}) {
    CHECK(find_dropping_chains(foreign).empty());
  }
}

TEST_CASE("the report counts, and says whether the machine will do", "[doctor]") {
  auto facts = healthy();
  CHECK(truth_in(findings_value(judge_machine(facts)), "healthy"));
  facts.landlock = false;
  const auto warned = findings_value(judge_machine(facts));
  CHECK(truth_in(warned, "healthy"));
  CHECK(number_in(warned, "warnings") == 1);
  facts.api_port_free = false;
  const auto failed = findings_value(judge_machine(facts));
  CHECK_FALSE(truth_in(failed, "healthy"));
  CHECK(number_in(failed, "failures") == 1);
  const auto text = render_findings(failed, {});
  CHECK(contains(text, "FAILED   port"));
  CHECK(contains(text, "warning  landlock"));
  CHECK(contains(text, "-> write another address as listen"));
  CHECK(contains(text, "1 failure, 1 warning\n"));
}

TEST_CASE("this machine can be looked at, and the exit code tells the verdict", "[doctor]") {
  const auto facts = look_at_machine({"/tmp/not/there/yet", "/"}, "/tmp/not/there");
  CHECK_FALSE(facts.kernel.empty());
  CHECK(facts.missing_calls.empty());
  CHECK(facts.namespaces.count("net") == 1);
  REQUIRE(facts.disks.size() == 2);
  CHECK(facts.disks[0].free_bytes > 0);
  CHECK_FALSE(facts.disks[0].type.empty());
  std::FILE* out = std::tmpfile();
  REQUIRE(out != nullptr);
  Options options;
  options.output = Output::json;
  options.command = DoctorCommand{};
  const int code = carry_out(options, {out, stderr, false});
  std::rewind(out);
  std::string text;
  for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) text += static_cast<char>(c);
  std::fclose(out);
  const auto report = read_json(text);
  REQUIRE(report);
  CHECK(items_in(*report, "checks").size() >= 19);
  CHECK((code == 0) == truth_in(*report, "healthy"));
}
