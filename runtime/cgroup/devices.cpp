#include "runtime/cgroup/devices.hpp"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "schema/host/file.hpp"

namespace moored::cgroup {
namespace {

// Registers of the program: the context, then its three words.
constexpr std::uint8_t kResult = 0, kContext = 1, kType = 2, kAccess = 3, kMajor = 4, kMinor = 5;

Unexpected failed(const std::string& what) {
  return Unexpected(system_error(what, errno));
}

Instruction make(int code, std::uint8_t destination, std::uint8_t source, int offset, int number) {
  return {static_cast<std::uint8_t>(code),
          static_cast<std::uint8_t>(destination | static_cast<unsigned>(source) << 4U),
          static_cast<std::int16_t>(offset), number};
}

// The letters of v1's rules as the bits of the program's context.
int access_mask(const std::string& access) {
  int mask = 0;
  for (const char c : access) {
    if (c == 'm') mask |= BPF_DEVCG_ACC_MKNOD;
    if (c == 'r') mask |= BPF_DEVCG_ACC_READ;
    if (c == 'w') mask |= BPF_DEVCG_ACC_WRITE;
  }
  return mask;
}

// Compares and falls through to "allow"; any mismatch jumps behind it, to the next rule.
void append_rule(std::vector<Instruction>& program, const DeviceRule& rule) {
  constexpr int kAllow = 2;  // instructions of "return 1"
  constexpr int kAnyAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  const int mask = access_mask(rule.access);
  std::vector<Instruction> tests;
  if (rule.type != 'a') {
    tests.push_back(make(BPF_JMP | BPF_JNE | BPF_K, kType, 0, 0,
                         rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
  }
  if (mask != kAnyAccess) {
    // Every wished access must be in the mask: what is left of the wish after it must be nothing.
    tests.push_back(make(BPF_ALU64 | BPF_MOV | BPF_X, kResult, kAccess, 0, 0));
    tests.push_back(make(BPF_ALU | BPF_AND | BPF_K, kResult, 0, 0, ~mask & kAnyAccess));
    tests.push_back(make(BPF_JMP | BPF_JNE | BPF_K, kResult, 0, 0, 0));
  }
  if (rule.major >= 0) tests.push_back(make(BPF_JMP | BPF_JNE | BPF_K, kMajor, 0, 0, rule.major));
  if (rule.minor >= 0) tests.push_back(make(BPF_JMP | BPF_JNE | BPF_K, kMinor, 0, 0, rule.minor));
  for (std::size_t i = 0; i < tests.size(); ++i) {
    const bool jump = tests[i].code == (BPF_JMP | BPF_JNE | BPF_K);
    if (jump) tests[i].offset = static_cast<std::int16_t>(tests.size() - i - 1 + kAllow);
    program.push_back(tests[i]);
  }
  program.push_back(make(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, 1));
  program.push_back(make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

long call_bpf(int command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

Result<UniqueFd> load_device_program() {
  static_assert(sizeof(Instruction) == sizeof(bpf_insn));
  const auto program = make_device_program(default_device_rules());
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uint64_t>(program.data());
  load.insn_cnt = static_cast<std::uint32_t>(program.size());
  load.license = reinterpret_cast<std::uint64_t>("Apache-2.0");
  UniqueFd loaded(static_cast<int>(call_bpf(BPF_PROG_LOAD, load)));
  if (!loaded) return failed("load device program");
  return loaded;
}

}  // namespace

// The same list on both versions, so that a pod does not behave differently on another machine.
const std::vector<DeviceRule>& default_device_rules() {
  static const std::vector<DeviceRule> kRules{
      {'c', 1, 3, "rwm"}, {'c', 1, 5, "rwm"},    {'c', 1, 7, "rwm"},
      {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"},    {'c', 5, 0, "rwm"},
      {'c', 5, 2, "rwm"}, {'c', 136, -1, "rwm"}, {'a', -1, -1, "m"}};
  return kRules;
}

// Three words are loaded once, then each rule is a few comparisons; the end denies.
std::vector<Instruction> make_device_program(const std::vector<DeviceRule>& rules) {
  std::vector<Instruction> program;
  // struct bpf_cgroup_dev_ctx { access_type, major, minor }; access_type = access << 16 | type.
  program.push_back(make(BPF_LDX | BPF_MEM | BPF_W, kType, kContext, 0, 0));
  program.push_back(make(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  program.push_back(make(BPF_LDX | BPF_MEM | BPF_W, kAccess, kContext, 0, 0));
  program.push_back(make(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16));
  program.push_back(make(BPF_LDX | BPF_MEM | BPF_W, kMajor, kContext, 4, 0));
  program.push_back(make(BPF_LDX | BPF_MEM | BPF_W, kMinor, kContext, 8, 0));
  for (const auto& rule : rules)
    append_rule(program, rule);
  program.push_back(make(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, 0));
  program.push_back(make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  return program;
}

std::string format_rule(const DeviceRule& rule) {
  const auto number = [](int value) { return value < 0 ? "*" : std::to_string(value); };
  return std::string(1, rule.type) + " " + number(rule.major) + ":" + number(rule.minor) + " " +
         rule.access;
}

// The verifier walks through the program at every loading, which takes longer than all else that a
// group needs.
Status DeviceFilter::attach(const std::string& v2_directory) {
  const UniqueFd group(::open(v2_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group) return failed("open cgroup " + v2_directory);
  return program_.with([&](UniqueFd& program) -> Status {
    if (!program) {
      MOORED_TRY(program, load_device_program());
    }
    bpf_attr attach{};
    attach.target_fd = static_cast<std::uint32_t>(group.get());
    attach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    // A program that somebody attaches further up still has its say.
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (call_bpf(BPF_PROG_ATTACH, attach) != 0) return failed("attach device program");
    return {};
  });
}

Status write_device_rules(const std::string& v1_directory) {
  MOORED_CHECK(write_file(v1_directory + "/devices.deny", "a"));
  for (const auto& rule : default_device_rules()) {
    // v1 has no "both kinds" with a partial access: one line for each kind.
    for (const char type : rule.type == 'a' ? std::string("bc") : std::string(1, rule.type)) {
      DeviceRule line = rule;
      line.type = type;
      MOORED_CHECK(write_file(v1_directory + "/devices.allow", format_rule(line)));
    }
  }
  return {};
}

}  // namespace moored::cgroup
