// Values, layouts and device programs: pure functions against tables.
#include <linux/bpf.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>

#include "runtime/cgroup/devices.hpp"
#include "runtime/cgroup/tree.hpp"
#include "runtime/cgroup/values.hpp"

using namespace moored;
using namespace moored::cgroup;

TEST_CASE("shares and weights of CPU requests") {
  struct Row {
    std::int64_t milli, shares, weight;
  };
  const std::array<Row, 12> rows{{{0, 2, 1},
                                  {10, 10, 4},
                                  {50, 51, 11},
                                  {100, 102, 17},
                                  {250, 256, 35},
                                  {500, 512, 59},
                                  {1000, 1024, 100},
                                  {2000, 2048, 174},
                                  {4000, 4096, 303},
                                  {8000, 8192, 532},
                                  {64000, 65536, 3023},
                                  {256000, 262144, 10000}}};
  for (const auto& row : rows) {
    INFO(row.milli);
    CHECK(cpu_shares(row.milli) == row.shares);
    CHECK(cpu_weight(row.shares) == row.weight);
  }
  CHECK(cpu_shares(-5) == 2);
  CHECK(cpu_shares(1'000'000'000) == 262'144);
}

TEST_CASE("weights grow with requests and lead back to them") {
  std::int64_t last = 0;
  for (std::int64_t milli = 0; milli <= 260'000; milli += 37) {
    const auto weight = cpu_weight(cpu_shares(milli));
    REQUIRE(weight >= last);
    last = weight;
    REQUIRE(cpu_weight(cpu_shares(request_milli_of_weight(weight))) == weight);
  }
  for (std::int64_t milli : {0, 10, 100, 250, 333, 500, 1000, 4000}) {
    CHECK(request_milli_of_shares(cpu_shares(milli)) == milli);
  }
}

TEST_CASE("quotas, scores and io weights") {
  CHECK(cpu_quota_micros(1000) == 100'000);
  CHECK(cpu_quota_micros(250) == 25'000);
  CHECK(cpu_quota_micros(1) == 1000);
  CHECK(limit_milli_of_quota(25'000, 100'000) == 250);
  CHECK_FALSE(limit_milli_of_quota(-1, 100'000));
  CHECK(io_weight(10) == 1);
  CHECK(io_weight(1000) == 10'000);
  CHECK(io_weight(500) == 4950);
  CHECK(oom_score_adjust("Guaranteed", 0, 1 << 30) == -997);
  CHECK(oom_score_adjust("BestEffort", 0, 1 << 30) == 1000);
  CHECK(oom_score_adjust("Burstable", 0, 1 << 30) == 999);
  CHECK(oom_score_adjust("Burstable", 1 << 29, 1 << 30) == 500);
  CHECK(oom_score_adjust("Burstable", 1LL << 40, 1 << 30) == 3);
}

TEST_CASE("numbers of the kernel and its words for none") {
  CHECK(bytes_of("67108864") == 67'108'864);
  CHECK(bytes_of("0") == 0);
  CHECK_FALSE(bytes_of("max"));
  CHECK_FALSE(bytes_of("-1"));
  CHECK_FALSE(bytes_of("9223372036854771712"));
  CHECK_FALSE(bytes_of(""));
}

TEST_CASE("limits become writes in the order the kernel needs") {
  CgroupLimits limits;
  limits.cpu_request_milli = 500;
  limits.cpu_limit_milli = 1000;
  limits.memory_limit_bytes = 100;
  limits.pids_limit = 10;
  const Versions v1{Version::v1, Version::v1, Version::v1};
  const Versions v2{Version::v2, Version::v2, Version::v2};

  CHECK(plan_limits(limits, v1, true, false) ==
        std::vector<Setting>{{"cpu", "cpu.shares", "512", false},
                             {"cpu", "cpu.cfs_period_us", "100000", false},
                             {"cpu", "cpu.cfs_quota_us", "100000", false},
                             {"memory", "memory.limit_in_bytes", "100", false},
                             {"memory", "memory.memsw.limit_in_bytes", "100", true},
                             {"pids", "pids.max", "10", false}});
  // Raising: memory and swap must make room first.
  CHECK(plan_limits(limits, v1, true, true)[3].file == "memory.memsw.limit_in_bytes");
  CHECK(plan_limits(limits, v1, true, true)[4].file == "memory.limit_in_bytes");
  CHECK(plan_limits(limits, v2, true, false) ==
        std::vector<Setting>{{"cpu", "cpu.weight", "59", false},
                             {"cpu", "cpu.max", "100000 100000", false},
                             {"memory", "memory.max", "100", false},
                             {"memory", "memory.swap.max", "0", true},
                             {"memory", "memory.oom.group", "1", false},
                             {"pids", "pids.max", "10", false}});
  // A pod's own group is not killed as a whole.
  for (const auto& setting : plan_limits(limits, v2, false, false)) {
    CHECK(setting.file != "memory.oom.group");
  }
  CHECK(plan_limits({}, v2, false, false) ==
        std::vector<Setting>{{"cpu", "cpu.weight", "1", false},
                             {"cpu", "cpu.max", "max 100000", false},
                             {"memory", "memory.max", "max", false},
                             {"memory", "memory.swap.max", "max", true},
                             {"pids", "pids.max", "max", false}});
  CHECK(plan_limits(limits, {}, true, false).empty());
  const auto mixed = plan_limits(limits, {Version::v1, Version::v2, Version::absent}, true, false);
  CHECK(mixed.front().file == "cpu.shares");
  CHECK(mixed.back().file == "memory.oom.group");
}

TEST_CASE("what a new group has anyway is not written") {
  const Versions v1{Version::v1, Version::v1, Version::v1};
  const Versions v2{Version::v2, Version::v2, Version::v2};
  CHECK(drop_defaults(plan_limits({}, v1, true, false)) ==
        std::vector<Setting>{{"cpu", "cpu.shares", "2", false}});
  CHECK(drop_defaults(plan_limits({}, v2, true, false)) ==
        std::vector<Setting>{{"cpu", "cpu.weight", "1", false},
                             {"memory", "memory.oom.group", "1", false}});
  CgroupLimits limits;
  limits.cpu_request_milli = 1000;
  limits.memory_limit_bytes = 100;
  CHECK(drop_defaults(plan_limits(limits, v1, true, false)) ==
        std::vector<Setting>{{"memory", "memory.limit_in_bytes", "100", false},
                             {"memory", "memory.memsw.limit_in_bytes", "100", true}});
  CHECK(drop_defaults({}).empty());
}

TEST_CASE("the layout is decided for each controller by its mount point") {
  const std::vector<Mounted> hybrid{{"cpu", "/sys/fs/cgroup/cpu"},
                                    {"cpuset", "/sys/fs/cgroup/cpuset"},
                                    {"memory", "/sys/fs/cgroup/memory"},
                                    {"hugetlb", "/sys/fs/cgroup/unified"},
                                    {"freezer", "/sys/fs/cgroup/freezer"},
                                    {"devices", "/sys/fs/cgroup/devices"},
                                    {"blkio", "/sys/fs/cgroup/blkio"}};
  const auto mixed = plan_layout(hybrid, "/sys/fs/cgroup/unified");
  CHECK(mixed.versions == Versions{Version::v1, Version::v1, Version::absent});
  // cpuset is left out, and what the v2 hierarchy does for its groups.
  CHECK(mixed.v1 == std::vector<Mounted>{hybrid[0], hybrid[2]});
  CHECK(mixed.v2.empty());
  CHECK(mixed.unified == "/sys/fs/cgroup/unified");

  const std::vector<Mounted> pure{{"cpu", "/sys/fs/cgroup"},
                                  {"memory", "/sys/fs/cgroup"},
                                  {"pids", "/sys/fs/cgroup"},
                                  {"cpuset", "/sys/fs/cgroup"}};
  const auto only_v2 = plan_layout(pure, "/sys/fs/cgroup");
  CHECK(only_v2.versions == Versions{Version::v2, Version::v2, Version::v2});
  CHECK(only_v2.v1.empty());
  CHECK(only_v2.v2 == std::vector<std::string>{"cpu", "memory", "pids"});

  const auto only_v1 = plan_layout({hybrid[0], hybrid[4], hybrid[5], hybrid[6]}, "");
  CHECK(only_v1.v1 == std::vector<Mounted>{hybrid[0], hybrid[4], hybrid[5]});
  CHECK(only_v1.versions.cpu == Version::v1);
}

TEST_CASE("the v2 mount is found among others") {
  const std::string text =
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
      "30 22 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
      "31 22 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n";
  CHECK(find_unified(text) == "/sys/fs/cgroup/unified");
  CHECK(find_unified(text.substr(0, text.find("31 "))).empty());
  CHECK(find_unified("").empty());
}

TEST_CASE("a root that could be somebody else's is refused") {
  for (const char* root : {"", "/", "relative", "/a/", "/a//b", "/a/../b", "/.."}) {
    INFO(root);
    const auto tree = Tree::create(root);
    REQUIRE_FALSE(tree);
    CHECK(tree.error().code == Code::invalid);
  }
}

namespace {

// Runs a device program as the kernel would. Covers the instructions that are emitted.
bool is_allowed(const std::vector<Instruction>& program, char type, int access, int major,
                int minor) {
  const std::array<std::uint32_t, 3> context{
      static_cast<std::uint32_t>(access) << 16U | (type == 'b' ? 1U : 2U),
      static_cast<std::uint32_t>(major), static_cast<std::uint32_t>(minor)};
  std::array<std::uint64_t, 11> r{};
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const auto& i = program[pc];
    auto& destination = r[i.registers & 15U];
    const auto source = r[static_cast<unsigned>(i.registers) >> 4U];
    const auto number = static_cast<std::uint32_t>(i.immediate);
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        destination = context[static_cast<std::size_t>(i.offset) / 4];
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        destination = static_cast<std::uint32_t>(destination) & number;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        destination = static_cast<std::uint32_t>(destination) >> number;
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        destination = source;
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        destination = number;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (destination != number) pc += static_cast<std::size_t>(i.offset);
        break;
      case BPF_JMP | BPF_EXIT:
        return r[0] != 0;
      default:
        FAIL("an instruction that was not expected");
        return false;
    }
  }
  FAIL("the program runs off its end");
  return false;
}

}  // namespace

TEST_CASE("the device program allows exactly its rules") {
  const auto program = make_device_program(default_device_rules());
  constexpr int kMknod = BPF_DEVCG_ACC_MKNOD, kRead = BPF_DEVCG_ACC_READ,
                kWrite = BPF_DEVCG_ACC_WRITE;
  struct Row {
    char type;
    int access, major, minor;
    bool allowed;
  };
  const std::array<Row, 14> rows{{{'c', kRead | kWrite, 1, 3, true},
                                  {'c', kRead, 1, 5, true},
                                  {'c', kRead, 136, 0, true},
                                  {'c', kRead | kWrite, 136, 999, true},
                                  {'c', kWrite, 5, 2, true},
                                  {'c', kRead, 5, 1, false},
                                  {'c', kRead, 1, 1, false},
                                  {'c', kRead, 1, 11, false},
                                  {'b', kRead, 1, 3, false},
                                  {'b', kRead, 8, 0, false},
                                  {'b', kMknod, 8, 0, true},
                                  {'c', kMknod, 10, 200, true},
                                  {'c', kMknod | kRead, 10, 200, false},
                                  {'b', kMknod | kWrite, 8, 0, false}}};
  for (const auto& row : rows) {
    INFO(row.type << " " << row.access << " " << row.major << ":" << row.minor);
    CHECK(is_allowed(program, row.type, row.access, row.major, row.minor) == row.allowed);
  }
  CHECK_FALSE(is_allowed(make_device_program({}), 'c', kRead, 1, 3));
  CHECK(
      is_allowed(make_device_program({{'a', -1, -1, "rwm"}}), 'b', kRead | kWrite | kMknod, 8, 0));
}

TEST_CASE("rules as lines of the v1 controller") {
  CHECK(format_rule({'c', 1, 3, "rwm"}) == "c 1:3 rwm");
  CHECK(format_rule({'c', 136, -1, "rwm"}) == "c 136:* rwm");
  CHECK(format_rule({'b', -1, -1, "m"}) == "b *:* m");
}
