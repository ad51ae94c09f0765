#include "runtime/container/shim_files.hpp"

#include <algorithm>
#include <csignal>

#include "schema/base/time.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

namespace moored::container {
namespace {

constexpr int kKilledCode = 137;

// 0 stands for "not yet" in the files.
std::optional<Time> time_of(std::int64_t micros) {
  if (micros == 0) return std::nullopt;
  return Time(Duration(micros));
}

ContainerPhase phase_of(const std::string& word) {
  if (word == "created") return ContainerPhase::created;
  if (word == "running") return ContainerPhase::running;
  if (word == "exited") return ContainerPhase::exited;
  return ContainerPhase::absent;
}

// Written by rename, so it is whole or absent.
Result<shim::ContainerState> read_state(const std::string& path) {
  MOORED_TRY(const auto text, read_file(path, 65536));
  MOORED_TRY(const auto lines, shim::parse_lines(text));
  if (lines.size() != 1) return fail(Code::corrupt, path + " is not one line");
  return shim::container_state_from(lines[0]);
}

// Whole numbers only; what else lies there is not an attempt.
int attempt_number(const std::string& name) {
  const bool digits =
      !name.empty() && name.size() < 10 &&
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::stoi(name) : -1;
}

// A failed read that says that nothing is there is no failure.
Status allow_absence(const Error& error) {
  if (is_verdict(error)) return {};
  return Unexpected(error);
}

// Calls back with the directory of every attempt. Errors: not all of them can be read now.
template <class F>
Status for_each_attempt(const std::string& pod_directory, F&& call) {
  const auto names = list_directory(pod_directory + "/c");
  if (!names) return allow_absence(names.error());
  for (const auto& name : *names) {
    const auto attempts = list_directory(pod_directory + "/c/" + name);
    if (!attempts) {
      MOORED_CHECK(allow_absence(attempts.error()));
      continue;
    }
    std::vector<int> numbers;
    for (const auto& attempt : *attempts) {
      if (attempt_number(attempt) >= 0) numbers.push_back(attempt_number(attempt));
    }
    std::sort(numbers.begin(), numbers.end());
    for (const int number : numbers) {
      MOORED_CHECK(call(name, number, pod_directory + "/c/" + name + "/" + std::to_string(number)));
    }
  }
  return {};
}

// The end of an attempt whose shim is gone: nobody saw it.
shim::ContainerState lost_state(shim::ContainerState state) {
  state.phase = "exited";
  state.code = kKilledCode;
  state.signal = SIGKILL;
  state.finished_micros = SystemClock().now().wall.time_since_epoch().count();
  return state;
}

}  // namespace

bool is_verdict(const Error& error) {
  return error.code == Code::not_found || error.code == Code::corrupt ||
         error.code == Code::invalid;
}

ContainerReport to_report(const shim::ContainerState& state) {
  ContainerReport report;
  report.name = state.name;
  report.attempt = state.attempt;
  report.container_id = state.id;
  report.phase = phase_of(state.phase);
  report.pid = state.pid;
  report.started_at = time_of(state.started_micros);
  report.finished_at = time_of(state.finished_micros);
  report.exit_code = state.code;
  report.signal = state.signal;
  report.oom_killed = state.oom_killed;
  report.start_error = state.start_error;
  report.termination_message = state.message;
  return report;
}

Result<PodRecord> read_pod(const std::string& pod_directory) {
  MOORED_TRY(const auto text, read_file(pod_directory + "/pod.json"));
  return parse_pod(text);
}

// exit.json is the end of the story; state.json alone means that nobody saw the end.
Result<std::vector<ContainerReport>> read_attempts(const std::string& pod_directory) {
  std::vector<ContainerReport> reports;
  const auto read = [&](const std::string&, int, const std::string& directory) -> Status {
    auto state = read_state(directory + "/exit.json");
    if (!state) {
      MOORED_CHECK(allow_absence(state.error()));
      state = read_state(directory + "/state.json");
      if (!state) return allow_absence(state.error());
      state = lost_state(*std::move(state));
    }
    if (state->name != kPauseName) reports.push_back(to_report(*state));
    return {};
  };
  MOORED_CHECK(for_each_attempt(pod_directory, read));
  return reports;
}

int find_latest_attempt(const std::string& pod_directory, const std::string& name) {
  int latest = -1;
  const auto look = [&](const std::string& found, int attempt, const std::string&) -> Status {
    if (found == name) latest = std::max(latest, attempt);
    return {};
  };
  return for_each_attempt(pod_directory, look) ? latest : -1;
}

// Only once: an exit that the shim itself wrote down is the truth.
Status record_lost(const std::string& pod_directory) {
  Status first;
  const auto record = [&](const std::string&, int, const std::string& directory) -> Status {
    if (path_exists(directory + "/exit.json")) return {};
    const auto state = read_state(directory + "/state.json");
    if (!state) return allow_absence(state.error());  // nothing ever ran
    auto written =
        write_file_durably(directory + "/exit.json", to_record(lost_state(*state)).text() + "\n");
    if (!written && first) first = std::move(written);
    return {};
  };
  MOORED_CHECK(for_each_attempt(pod_directory, record));
  return first;
}

// The lock lives exactly as long as the process. Taking it for a moment disturbs nobody: a shim
// that is being started is not asked about before it has said that it is ready.
Result<bool> is_shim_alive(const std::string& pod_directory) {
  if (!path_exists(pod_directory + "/shim.lock")) return false;
  const auto lock = lock_file(pod_directory + "/shim.lock");
  if (lock) return false;
  if (lock.error().code == Code::conflict) return true;
  if (is_verdict(lock.error())) return false;
  return Unexpected(lock.error());
}

}  // namespace moored::container
