#include "reconciler/daemon/identity.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "schema/host/file.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxCandidates = 20;  // 10.209.0.0/16 to 10.248.0.0/16

std::string ranges_path(const std::string& state_dir) { return state_dir + "/ranges"; }

// Whether a v2 group can hand on what pods are limited by.
bool limits_pods(const std::string& group) {
  const auto text = read_file(group + "/cgroup.controllers", 4096);
  if (!text) return false;
  const std::string words = " " + text->substr(0, text->find('\n')) + " ";
  for (const char* controller : {" cpu ", " memory ", " pids "}) {
    if (words.find(controller) == std::string::npos) return false;
  }
  return true;
}

Result<net::Ipv4Prefix> parse_range(const std::string& text, const std::string& name) {
  const auto prefix = net::parse_prefix(text);
  if (prefix) return *prefix;
  return Unexpected(Error{Code::invalid, name + " " + text + " is not a range", "ConfigInvalid",
                          {}, "write for instance 10.209.0.0/16"});
}

// A program that a killed daemon was starting has its lock for a moment longer.
Result<UniqueFd> take_lock(const std::string& path) {
  constexpr int kTries = 40;
  constexpr std::chrono::milliseconds kPause{50};
  auto lock = lock_file(path);
  for (int i = 1; i < kTries && !lock && lock.error().code == Code::conflict; ++i) {
    std::this_thread::sleep_for(kPause);
    lock = lock_file(path);
  }
  return lock;
}

}  // namespace

Result<StateIdentity> claim_state(const std::string& state_dir, Random& random) {
  StateIdentity out;
  MOORED_CHECK(make_directories(state_dir, 0711));
  auto lock = take_lock(state_dir + "/lock");
  if (!lock) {
    return Unexpected(std::move(lock).error()
                          .context("another daemon runs on " + state_dir)
                          .mend("stop it, or give this one another --state-dir"));
  }
  out.lock = std::move(*lock);
  const std::string path = state_dir + "/instance";
  if (path_exists(path)) {
    MOORED_TRY(out.instance, read_file(path, 64));
    while (!out.instance.empty() && out.instance.back() == '\n') out.instance.pop_back();
    const bool good = out.instance.size() == 6 &&
                      out.instance.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!good) return fail(Code::corrupt, path + " does not hold six hexadecimal digits");
    return out;
  }
  std::array<char, 8> digits{};
  std::snprintf(digits.data(), digits.size(), "%06x",
                static_cast<unsigned>(random.below(1U << 24U)));
  out.instance = digits.data();
  MOORED_CHECK(write_file_durably(path, out.instance + "\n", 0644));
  return out;
}

Result<std::string> claim_cgroup_root(const Configuration& configuration,
                                      const std::string& instance, const std::string& unified) {
  if (!configuration.cgroup_root.empty()) return configuration.cgroup_root;
  const std::string path = configuration.run_dir + "/cgroup";
  if (path_exists(path)) {
    MOORED_TRY(auto settled, read_file(path, 4096));
    while (!settled.empty() && settled.back() == '\n') settled.pop_back();
    if (!settled.ends_with("/moored-" + instance)) {
      return fail(Code::corrupt, path + " does not hold a cgroup of instance " + instance);
    }
    return settled;
  }
  const auto& parent = configuration.cgroup_parent;
  const bool holder = !parent.empty() && !unified.empty() && limits_pods(unified + parent);
  std::string root = (holder ? parent : std::string()) + "/moored-" + instance;
  MOORED_CHECK(write_file_durably(path, root + "\n", 0644));
  return root;
}

std::optional<AddressRanges> candidate_ranges(std::size_t n) {
  if (n >= kMaxCandidates) return std::nullopt;
  const auto second = static_cast<unsigned>(209 + 2 * n);
  const auto range = [](unsigned octet) {
    return net::Ipv4Prefix{net::Ipv4{(10U << 24U) | (octet << 16U)}, 16};
  };
  return AddressRanges{range(second), range(second + 1)};
}

Result<std::optional<AddressRanges>> read_ranges(const Configuration& configuration) {
  std::string pods = configuration.pod_cidr;
  std::string services = configuration.service_cidr;
  const auto path = ranges_path(configuration.state_dir);
  if (path_exists(path)) {
    MOORED_TRY(const auto text, read_file(path, 256));
    const auto space = text.find(' ');
    if (space == std::string::npos) return fail(Code::corrupt, path + " does not hold two ranges");
    if (pods.empty()) pods = text.substr(0, space);
    if (services.empty()) services = text.substr(space + 1, text.find('\n') - space - 1);
  }
  if (pods.empty() && services.empty()) return std::optional<AddressRanges>();
  const auto first = candidate_ranges(0);
  AddressRanges out = *first;
  if (!pods.empty()) {
    MOORED_TRY(out.pods, parse_range(pods, "--pod-cidr"));
  }
  if (!services.empty()) {
    MOORED_TRY(out.services, parse_range(services, "--service-cidr"));
  }
  return std::optional<AddressRanges>(out);
}

Status write_ranges(const std::string& state_dir, const AddressRanges& ranges) {
  return write_file_durably(ranges_path(state_dir),
                            net::format(ranges.pods) + " " +
                                net::format(ranges.services) + "\n",
                            0644);
}

}  // namespace moored
