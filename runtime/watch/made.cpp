#include "runtime/watch/made.hpp"

#include <algorithm>
#include <charconv>

#include "runtime/shim/order.hpp"
#include "runtime/watch/process_facts.hpp"
#include "schema/host/file.hpp"
#include "schema/host/spawn.hpp"

namespace moored::watch {
namespace {

using shim::Record;
using shim::StepType;

constexpr std::size_t kMaxText = 1U << 20U;

Result<Record> read_record(const std::string& path) {
  MOORED_TRY(const auto text, read_file(path, kMaxText));
  MOORED_TRY(const auto lines, shim::parse_lines(text));
  if (lines.size() != 1) return fail(Code::corrupt, path + " is not one line");
  return lines[0];
}

int number_of(const std::string& text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string start_file(const std::string& attempt) {
  return attempt + "/start.json";
}

// Absent when the daemon ended between the start and its look; the next look writes it.
Start read_start(const std::string& attempt) {
  Start start;
  const auto record = read_record(start_file(attempt));
  if (!record) return start;
  for (const auto& line : record->list_of("mounts"))
    start.mounts.push_back(parse_mount(line));
  start.program = record->text_of("program");
  start.program_mark = {record->number_of("size"), record->number_of("modified")};
  start.oom_score_adjust = static_cast<int>(record->number_of("oomScoreAdjust"));
  return start;
}

// The steps say what rights were left and what the root is made of.
void take_steps(const shim::ContainerOrder& order, MadeContainer& made) {
  std::string writable;
  bool read_only = false;
  for (const auto& step : order.steps) {
    if (step.type == StepType::bounding) made.bounding = step.number;
    if (step.type == StepType::no_new_privileges) made.no_new_privileges = true;
    if (step.type == StepType::seccomp || step.type == StepType::seccomp_early) {
      made.filtered = true;
    }
    if (step.type == StepType::overlay_root) writable = step.source;
    if (step.type == StepType::read_only_root) read_only = true;
  }
  if (read_only) made.frozen_root = writable;
}

bool still_runs(const MadeContainer& made) {
  const auto now = read_start_time(made.pid);
  return now && *now == made.start_time && !path_exists(made.directory + "/exit.json");
}

// An attempt counts from the moment its program runs until exit.json is there.
std::optional<MadeContainer> read_attempt(const std::string& directory) {
  if (path_exists(directory + "/exit.json")) return std::nullopt;
  const auto record = read_record(directory + "/state.json");
  if (!record || record->text_of("phase") != "running") return std::nullopt;
  const auto state = shim::container_state_from(*record);
  const auto text = read_file(directory + "/spec.json", kMaxText);
  if (!text) return std::nullopt;
  const auto order = shim::container_order_from(*text);
  const auto now = read_start_time(state.pid);
  if (!order || !now || *now != state.start_time) return std::nullopt;
  MadeContainer made;
  made.name = state.name;
  made.attempt = state.attempt;
  made.pid = state.pid;
  made.start_time = state.start_time;
  made.started_micros = state.started_micros;
  made.directory = directory;
  made.own_processes = order->pid_namespace == "new";
  made.group = order->cgroup;
  for (const auto& tasks : order->tasks_files) {
    const auto group = tasks.substr(0, tasks.find_last_of('/'));
    made.procs_files.push_back(group + "/cgroup.procs");
    if (path_exists(group + "/freezer.state")) made.freezer = group;
  }
  if (!made.group.empty()) made.procs_files.push_back(made.group + "/cgroup.procs");
  take_steps(*order, made);
  made.start = read_start(directory);
  return made;
}

}  // namespace

Result<MadePod> read_made_pod(const std::string& pod_directory, const MadePod* known) {
  if (known != nullptr) {
    const auto lives = read_start_time(known->shim);
    if (lives && *lives == known->shim_start_time) return *known;
  }
  MOORED_TRY(const auto text, read_file(pod_directory + "/sandbox.json", kMaxText));
  MOORED_TRY(const auto order, shim::pod_order_from(text));
  MOORED_TRY(const auto about, read_record(pod_directory + "/shim.json"));
  MadePod made;
  made.uid = order.uid;
  made.shim = static_cast<pid_t>(about.number_of("pid"));
  const auto now = read_start_time(made.shim);
  if (!now || *now != static_cast<std::uint64_t>(about.number_of("startTime"))) {
    return fail(Code::not_found, "the shim of pod " + order.uid + " has ended");
  }
  made.shim_start_time = *now;
  made.shim_program = read_executable(made.shim);
  for (const auto& entry : order.namespaces) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos) continue;
    made.pins.push_back({entry.substr(0, equals), entry.substr(equals + 1)});
  }
  return made;
}

// Only the latest attempt of a name can run.
std::vector<MadeContainer> read_made_containers(const std::string& pod_directory,
                                                const KnownContainers& known) {
  std::vector<MadeContainer> made;
  const auto names = list_directory(pod_directory + "/c");
  if (!names) return made;
  for (const auto& name : *names) {
    const auto attempts = list_directory(pod_directory + "/c/" + name);
    int latest = -1;
    for (const auto& attempt : attempts ? *attempts : std::vector<std::string>{}) {
      latest = std::max(latest, number_of(attempt));
    }
    if (latest < 0) continue;
    const auto directory = pod_directory + "/c/" + name + "/" + std::to_string(latest);
    const auto before = known.find(directory);
    if (before != known.end() && still_runs(before->second)) {
      made.push_back(before->second);
    } else if (auto found = read_attempt(directory)) {
      made.push_back(*std::move(found));
    }
  }
  return made;
}

// Written once for each attempt: how it was at its start stays what it should be.
Status write_start(const MadeContainer& container) {
  const std::string path = start_file(container.directory);
  if (path_exists(path)) return {};
  const std::string process = "/proc/" + std::to_string(container.pid);
  MOORED_TRY(const auto mounts, read_file(process + "/mountinfo", kMaxText));
  std::vector<std::string> rows;
  for (const auto& row : parse_mounts(mounts))
    rows.push_back(format_mount(row));
  if (rows.empty()) return fail(Code::not_found, "the container has ended");
  const auto mark = read_mark(process + "/exe");
  Record record;
  record.set("mounts", rows).set("program", read_executable(container.pid));
  record.set("size", mark.size).set("modified", mark.modified_micros);
  const auto score = read_file(process + "/oom_score_adj", 64);
  record.set("oomScoreAdjust", score ? number_of(*score) : 0);
  return write_file(path, record.text() + "\n", true);
}

}  // namespace moored::watch
