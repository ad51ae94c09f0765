#include "reconciler/daemon/meter.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include "reconciler/daemon/parts.hpp"
#include "reconciler/loop/loop.hpp"
#include "reconciler/loop/reports.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/executor.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "schema/host/file.hpp"
#include "schema/host/process_usage.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"

namespace moored {
namespace {

// The first words of what docs/drift.md says a record's field can be. Whatever else comes counts
// as "other", so that nothing a container or a person names can make a series.
// clang-format off
constexpr std::array<std::string_view, 22> kDriftKinds{
    "process", "capabilities", "seccomp", "noNewPrivileges", "executable", "root", "mount",
    "cgroup.memory.max", "cgroup.cpu.max", "cgroup.cpu.shares", "cgroup.pids.max",
    "cgroup.procs", "cgroup.freeze", "oomScoreAdjust", "namespace",
    "link", "address", "route", "neighbour", "forwarding", "rule", "layer"};
// clang-format on
constexpr std::array<const char*, 5> kPhases{"Pending", "Running", "Succeeded", "Failed",
                                             "Unknown"};

template <class T>
double number(T value) {
  return static_cast<double>(value);
}

double seconds_of(Time time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::string full_name(const ObjectMeta& meta) {
  return meta.namespace_name + "/" + meta.name;
}

double is_ready(const std::vector<Condition>& conditions) {
  const auto* ready = find_condition(conditions, "Ready");
  return ready != nullptr && ready->status == "True" ? 1 : 0;
}

// 0 for what is not there: the log of writes goes when it is empty.
double file_bytes(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? number(found.st_size) : 0;
}

}  // namespace

void measure_sources(const StateView& view, std::vector<MetricFamily>& out) {
  auto ready =
      make_gauge("moored_source_ready", "1 while the newest look at the source went well.");
  auto suspended = make_gauge("moored_source_suspended", "1 while the source is not looked at.");
  auto fetched = make_gauge("moored_source_revision_timestamp_seconds",
                            "When the newest revision of the source was fetched.");
  for (const auto& object : view.list(kind_of<GitRepository>())) {
    const auto& source = object.as<GitRepository>();
    const MetricLabels labels{{"source", full_name(source.metadata)}};
    ready.add(labels, is_ready(source.status.conditions));
    suspended.add(labels, source.spec.suspend ? 1.0 : 0.0);
    const auto& artifact = source.status.artifact;
    if (artifact && artifact->last_update_time) {
      fetched.add(labels, seconds_of(*artifact->last_update_time));
    }
  }
  auto unit_ready = make_gauge("moored_unit_ready", "1 while all objects of the unit are well.");
  auto unit_behind =
      make_gauge("moored_unit_behind", "1 while the revision tried last is not the one applied.");
  auto unit_objects = make_gauge("moored_unit_objects", "Objects that the unit declares.");
  for (const auto& object : view.list(kind_of<Kustomization>())) {
    const auto& unit = object.as<Kustomization>();
    const auto& status = unit.status;
    const MetricLabels labels{{"unit", full_name(unit.metadata)}};
    unit_ready.add(labels, is_ready(status.conditions));
    const bool behind = status.last_applied_revision != status.last_attempted_revision;
    unit_behind.add(labels, behind ? 1.0 : 0.0);
    const double objects = status.inventory ? number(status.inventory->entries.size()) : 0;
    unit_objects.add(labels, objects);
  }
  for (auto* family : {&ready, &suspended, &fetched, &unit_ready, &unit_behind, &unit_objects}) {
    out.push_back(std::move(*family));
  }
}

void measure_pods(const StateView& view, std::vector<MetricFamily>& out) {
  auto pods = make_gauge("moored_pods", "Pods by phase.");
  auto restarts = make_counter("moored_container_restarts_total",
                               "Restarts of a container of a pod that exists.");
  std::map<std::string, int> phases;
  for (const auto& object : view.list(kind_of<Pod>())) {
    const auto& pod = object.as<Pod>();
    ++phases[pod.status.phase];
    for (const auto& container : pod.status.container_statuses) {
      restarts.add({{"namespace", pod.metadata.namespace_name},
                    {"pod", pod.metadata.name},
                    {"container", container.name}},
                   number(container.restart_count));
    }
  }
  for (const auto* phase : kPhases) {
    pods.add({{"phase", phase}}, number(phases[phase]));
  }
  out.push_back(std::move(pods));
  out.push_back(std::move(restarts));
}

void measure_drift(const Store& store, std::vector<MetricFamily>& out) {
  auto open = make_gauge("moored_drift_open",
                         "Differences between desired and observed that are not put right.");
  auto counts = store.count_open_drift();
  std::size_t other = 0;
  for (const auto kind : kDriftKinds) {
    const std::string word(kind);
    open.add({{"kind", word}}, number(counts[word]));
    counts.erase(word);
  }
  for (const auto& [kind, count] : counts)
    other += count;
  out.push_back(std::move(open.add({{"kind", "other"}}, number(other))));
}

void measure_process(std::vector<MetricFamily>& out) {
  out.push_back(make_gauge("moored_build_version_info", "1, with the version of the program.")
                    .add({{"version", MOORED_VERSION}}, 1));
  const auto usage = read_process_usage();
  if (!usage) return;  // without /proc there is nothing to say
  out.push_back(make_counter("process_cpu_seconds_total", "User and system time spent.")
                    .add({}, usage->cpu_seconds));
  out.push_back(make_gauge("process_start_time_seconds", "Start of the process since 1970.")
                    .add({}, usage->start_time_seconds));
  out.push_back(make_gauge("process_resident_memory_bytes", "Resident memory.")
                    .add({}, number(usage->resident_bytes)));
  out.push_back(make_gauge("process_virtual_memory_bytes", "Virtual memory.")
                    .add({}, number(usage->virtual_bytes)));
  out.push_back(
      make_gauge("process_open_fds", "Open file descriptors.").add({}, number(usage->open_files)));
  out.push_back(make_gauge("process_max_fds", "Limit of open file descriptors.")
                    .add({}, number(usage->open_files_limit)));
  out.push_back(make_gauge("process_threads", "Threads.").add({}, number(usage->threads)));
}

// The parts are complete when this is made; the meter of revisions reads where they stand.
DaemonMeter::DaemonMeter(Parts& parts) : parts_(parts), revisions_(*parts.store) {}

void DaemonMeter::measure_queues(std::vector<MetricFamily>& out) const {
  using Lane = Executor::Lane;
  auto depth = make_gauge("moored_queue_depth", "What waits to be worked on.");
  const auto add = [&](const char* name, std::size_t size) {
    depth.add({{"queue", name}}, number(size));
  };
  add("facts", parts_.inbox.size());
  add("objects", parts_.loop->queue_size());
  if (parts_.executor) {
    add("pod_work", parts_.executor->size(Lane::work));
    add("probes", parts_.executor->size(Lane::probe));
  }
  out.push_back(std::move(depth));
  out.push_back(make_gauge("moored_objects_failing",
                           "Objects whose plan was not recorded and is tried again.")
                    .add({}, number(parts_.loop->failing_count())));
  out.push_back(make_counter("moored_facts_left_out_total", "Facts that found the inbox full.")
                    .add({}, number(parts_.inbox.left_out())));
}

void DaemonMeter::measure_store(std::vector<MetricFamily>& out) const {
  const auto base = parts_.configuration.state_dir + "/store/moored.db";
  auto sizes =
      make_gauge("moored_store_file_bytes", "Size of the database and of its log of writes.");
  sizes.add({{"file", "database"}}, file_bytes(base));
  out.push_back(std::move(sizes.add({{"file", "log"}}, file_bytes(base + "-wal"))));
}

void DaemonMeter::close() {
  const std::lock_guard lock(open_mutex_);
  open_ = false;
}

Result<Usage> DaemonMeter::read_usage(const std::string& pod_uid, const std::string& container) {
  const std::lock_guard lock(open_mutex_);
  if (!open_) return fail(Code::unavailable, "the daemon is being taken down");
  Usage usage;
  MOORED_TRY(usage.cpu, parts_.sandbox->read_cpu_time(pod_uid, container));
  MOORED_TRY(usage.memory_bytes, parts_.sandbox->read_memory_bytes(pod_uid, container));
  return usage;
}

Result<Usage> DaemonMeter::read_node_usage() {
  MOORED_TRY(const auto stat, read_file("/proc/stat"));
  MOORED_TRY(const auto meminfo, read_file("/proc/meminfo"));
  return parse_node_usage(stat, meminfo);
}

// Idle time and waiting for disks are not spent; the time of guests is part of user time already.
// Source: proc(5).
Result<Usage> parse_node_usage(const std::string& stat, const std::string& meminfo) {
  std::istringstream fields(stat);
  std::string name;
  std::array<std::uint64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
  fields >> name;
  for (auto& tick : ticks)
    fields >> tick;
  if (!fields || name != "cpu") return fail(Code::corrupt, "/proc/stat does not count time");
  const auto spent = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7];
  const auto line = [&](const std::string& word) -> std::int64_t {
    const auto at = meminfo.find(word);
    return at == std::string::npos ? -1
                                   : std::strtoll(meminfo.c_str() + at + word.size(), nullptr, 10);
  };
  const auto total = line("MemTotal:");
  const auto available = line("\nMemAvailable:");
  if (total < 0 || available < 0) return fail(Code::corrupt, "/proc/meminfo tells no memory");
  constexpr std::int64_t kKibibyte = 1024;
  Usage usage;
  usage.cpu =
      std::chrono::milliseconds(spent * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
  usage.memory_bytes = (total - available) * kKibibyte;
  return usage;
}

void DaemonMeter::measure(std::vector<MetricFamily>& out) {
  measure_process(out);
  const std::lock_guard lock(open_mutex_);
  if (!open_) return;
  const auto view = parts_.store->view();
  revisions_.measure(out);
  measure_sources(*view, out);
  measure_pods(*view, out);
  measure_drift(*parts_.store, out);
  measure_queues(out);
  measure_store(out);
}

}  // namespace moored
