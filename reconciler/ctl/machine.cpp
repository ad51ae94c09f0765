// What the doctor looks at: the kernel's own words, gathered without changing anything.
#include <arpa/inet.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "reconciler/ctl/doctor.hpp"
#include "reconciler/ctl/members.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/confinement.hpp"
#include "schema/host/file.hpp"
#include "schema/host/programs.hpp"
#include "schema/host/rights.hpp"
#include "schema/host/spawn.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::ctl {
namespace {

constexpr std::chrono::milliseconds kLongestRun{10'000};
constexpr const char* kHolder = "/moored.slice/moored-pods.service";

// The words of a small file of the kernel's; none when it cannot be read.
std::vector<std::string> words_of(const std::string& path) {
  std::istringstream text(read_file(path, 1U << 20U).value_or(""));
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

std::set<std::string> word_set(const std::string& path) {
  const auto words = words_of(path);
  return {words.begin(), words.end()};
}

std::int64_t number_of(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A program of the path that every Debian service has.
std::string find_in_path(const std::string& name) {
  for (const char* place : {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/",
                            "/sbin/", "/bin/"}) {
    if (::access((place + name).c_str(), X_OK) == 0) return place + name;
  }
  return {};
}

// Calls with arguments that are never right: only a kernel without the call says ENOSYS.
std::vector<std::string> find_missing_calls() {
  const std::pair<const char*, long> calls[] = {
      {"pidfd_open", SYS_pidfd_open}, {"openat2", SYS_openat2},
      {"clone3", SYS_clone3},         {"fsopen", SYS_fsopen},
      {"move_mount", SYS_move_mount}, {"mount_setattr", SYS_mount_setattr},
      {"close_range", SYS_close_range}};
  std::vector<std::string> missing;
  for (const auto& [name, number] : calls) {
    if (::syscall(number, -1L, 0L, 0L, 0L, 0L) < 0 && errno == ENOSYS) missing.emplace_back(name);
  }
  return missing;
}

// Mount points from /proc/self/mountinfo, controllers from the hierarchies themselves.
void look_at_cgroups(MachineFacts& facts) {
  std::istringstream mounts(read_file("/proc/self/mountinfo").value_or(""));
  for (std::string line; std::getline(mounts, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line.substr(0, dash));
    std::istringstream right(line.substr(dash + 3));
    std::string word, place, type, source, options;
    left >> word >> word >> word >> word >> place;
    right >> type >> source >> options;
    if (type == "cgroup2" && facts.unified.empty()) {
      facts.unified = place;
      facts.v2_controllers = word_set(place + "/cgroup.controllers");
    }
    if (type != "cgroup") continue;
    std::istringstream names(options);
    for (std::string name; std::getline(names, name, ',');) facts.v1_controllers.insert(name);
  }
  facts.holder_active =
      !facts.unified.empty() && path_exists(facts.unified + std::string(kHolder));
  facts.swap_accounting =
      facts.v2_controllers.count("memory") > 0
          ? path_exists(facts.unified + "/system.slice/memory.swap.max") || !facts.systemd
          : path_exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
}

void look_at_kernel(MachineFacts& facts) {
  struct utsname system {};
  if (::uname(&system) == 0) facts.kernel = system.release;
  facts.missing_calls = find_missing_calls();
  facts.file_systems = word_set("/proc/filesystems");
  if (facts.file_systems.count("overlay") == 0) {
    const auto modules = read_file("/lib/modules/" + facts.kernel + "/modules.dep");
    if (modules && modules->find("/overlay.ko") != std::string::npos) {
      facts.file_systems.insert("overlay");
    }
  }
  for (const auto& name : list_directory("/proc/self/ns").value_or({})) {
    facts.namespaces.insert(name);
  }
  for (const char* kind : {"mnt", "net", "pid", "ipc", "uts"}) {
    const auto limit = words_of(std::string("/proc/sys/user/max_") + kind + "_namespaces");
    if (!limit.empty() && limit.front() == "0") facts.closed_namespaces.emplace_back(kind);
  }
  facts.seccomp_actions = word_set("/proc/sys/kernel/seccomp/actions_avail");
  facts.landlock = FileRules::is_available();
  facts.capabilities = rights::read_own_capabilities().value_or(0);
  const auto forwarding = words_of("/proc/sys/net/ipv4/ip_forward");
  if (!forwarding.empty()) facts.forwarding = forwarding.front() != "0";
  struct timex clock {};
  facts.clock_synchronised = ::adjtimex(&clock) >= 0 && (clock.status & STA_UNSYNC) == 0;
}

// Output of a program that ends by itself; what it said instead when it failed.
Result<std::string> read_output(const std::string& program, std::vector<std::string> arguments) {
  SpawnRequest request;
  request.program = program;
  request.arguments = std::move(arguments);
  request.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  MOORED_TRY(auto output, run_command(request, "", kLongestRun));
  if (output.status.code == 0) return std::move(output.out);
  while (!output.err.empty() && output.err.back() == '\n') output.err.pop_back();
  return fail(Code::unavailable, output.err);
}

void look_at_rules(MachineFacts& facts) {
  facts.legacy_tables = words_of("/proc/net/ip_tables_names");
  const auto& nft = facts.programs["nft"];
  if (nft.empty()) {
    facts.nft_error = "nft is not installed";
    return;
  }
  if (!facts.root) return;
  const auto listing = read_output(nft, {"nft", "-j", "list", "chains"});
  if (!listing) {
    facts.nft_error = listing.error().message;
    return;
  }
  facts.dropping = find_dropping_chains(*listing);
}

void look_at_programs(MachineFacts& facts) {
  for (const char* name : {"nft", "kubectl"}) facts.programs[name] = find_in_path(name);
  for (const char* name : {"moored", "moored-git", "moored-probe", "moored-pull", "moored-shim",
                           "moored-unpack"}) {
    std::string path = find_program(name);
    if (::access(path.c_str(), X_OK) != 0) path = find_in_path(name);
    facts.programs[name] = path;
  }
  for (const char* name : {"moored-git", "moored-probe", "moored-pull", "moored-unpack"}) {
    if (::getpwnam(name) != nullptr) facts.users.insert(name);
  }
  const auto& daemon = facts.programs["moored"];
  if (daemon.empty() || !facts.root) return;
  const auto checked = read_output(daemon, {"moored", "check"});
  if (!checked) facts.configuration_error = checked.error().message;
}

// The type of the mount that the longest mount point above the path belongs to.
std::string file_system_of(const std::string& path) {
  std::istringstream mounts(read_file("/proc/self/mountinfo").value_or(""));
  std::string best, found;
  for (std::string line; std::getline(mounts, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line.substr(0, dash));
    std::istringstream right(line.substr(dash + 3));
    std::string word, place, type;
    left >> word >> word >> word >> word >> place;
    right >> type;
    const bool above = place == "/" || path == place || path.rfind(place + "/", 0) == 0;
    if (above && place.size() >= best.size()) {
      best = place;
      found = type;
    }
  }
  return found;
}

DiskFacts look_at_disk(const std::string& path) {
  std::filesystem::path there = std::filesystem::absolute(path);
  while (!path_exists(there.string()) && there.has_relative_path()) there = there.parent_path();
  DiskFacts disk;
  disk.path = path;
  disk.type = file_system_of(there.string());
  struct statfs counts {};
  if (::statfs(there.c_str(), &counts) != 0) return disk;
  disk.free_bytes = static_cast<std::int64_t>(counts.f_bavail) * counts.f_bsize;
  disk.free_files = static_cast<std::int64_t>(counts.f_ffree);
  disk.files = static_cast<std::int64_t>(counts.f_files);
  return disk;
}

// What the configuration says, as far as it can be read; "moored check" judges it.
std::string configured_address() {
  constexpr std::size_t kMaxFile = 1U << 20U;
  const auto text = read_file("/etc/moored/moored.yaml", kMaxFile);
  Diagnostics ignored;
  const auto documents = read_yaml(text.value_or(""), "moored.yaml", ignored);
  const std::string listen = documents.empty() ? "" : text_in(documents.front(), "listen");
  return listen.empty() ? "127.0.0.1:6446" : listen;
}

// Tried by binding. A daemon that runs has written where it listens: its own port is no conflict.
void look_at_port(const std::string& run_dir, MachineFacts& facts) {
  facts.api_address = configured_address();
  const auto listen = read_file(run_dir + "/api.json", 4096);
  if (listen && listen->find("\"" + facts.api_address + "\"") != std::string::npos) return;
  const auto colon = facts.api_address.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port =
      htons(static_cast<std::uint16_t>(number_of(facts.api_address.substr(colon + 1))));
  if (::inet_pton(AF_INET, facts.api_address.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return;
  }
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int reuse = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  facts.api_port_free = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                               sizeof address) == 0;
}

// The first line is a heading; sizes are in KiB.
std::int64_t read_swap_bytes() {
  std::istringstream lines(read_file("/proc/swaps", 1U << 20U).value_or(""));
  std::int64_t total = 0;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    std::string file, type, size;
    row >> file >> type >> size;
    total += number_of(size) * 1024;
  }
  return total;
}

}  // namespace

MachineFacts look_at_machine(const DoctorCommand& command, const std::string& run_dir) {
  MachineFacts facts;
  facts.root = ::geteuid() == 0;
  facts.systemd = path_exists("/run/systemd/system");
  facts.swap_bytes = read_swap_bytes();
  look_at_kernel(facts);
  look_at_cgroups(facts);
  look_at_programs(facts);
  look_at_rules(facts);
  look_at_port(run_dir, facts);
  facts.disks = {look_at_disk(command.state_dir), look_at_disk(command.log_dir)};
  return facts;
}

}  // namespace moored::ctl
