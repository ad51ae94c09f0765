#include "runtime/container/shim_sandbox.hpp"

#include <csignal>
#include <mutex>
#include <set>

#include "runtime/cgroup/tree.hpp"
#include "runtime/container/event_queue.hpp"
#include "runtime/container/machine.hpp"
#include "runtime/container/namespaces.hpp"
#include "runtime/container/plan.hpp"
#include "runtime/container/probe_words.hpp"
#include "runtime/container/seccomp.hpp"
#include "runtime/container/shim_files.hpp"
#include "runtime/container/shims.hpp"
#include "runtime/container/tiers.hpp"
#include "runtime/container/tls_prober.hpp"
#include "runtime/shim/order.hpp"
#include "schema/host/file.hpp"
#include "schema/host/rights.hpp"

namespace moored::container {
namespace {

using shim::Record;
using std::chrono::milliseconds;

constexpr milliseconds kKillTime{10'000};
constexpr milliseconds kRemoveTime{5'000};
// A probe's own time is the shim's to keep; this much more for the way there and back.
constexpr milliseconds kProbeSlack{5'000};

// Reads a directory of a pod that may have lost its pod.json half way: everything it can have.
PodSandboxSpec bare_spec(const std::string& uid) {
  PodSandboxSpec spec;
  spec.uid = uid;
  return spec;
}

}  // namespace

class ShimSandbox::Impl {
 public:
  Impl(ShimSandboxOptions options, std::unique_ptr<cgroup::Tree> tree,
       std::unique_ptr<ShimStarter> starter, std::uint64_t capabilities)
      : options_(std::move(options)),
        roots_{options_.run_dir, options_.state_dir},
        tree_(std::move(tree)),
        tiers_(*tree_),
        shims_(options_.run_dir + "/pods", options_.instance, std::move(starter)),
        tls_prober_(options_.probe_path, options_.probe_user),
        machine_(*tree_, shims_) {
    facts_.own_capabilities = capabilities;
    facts_.pure_v2 = tree_->layout().v1.empty();
  }

  Status listen() {
    return shims_.listen([this](SandboxEvent event) { events_.push(std::move(event)); },
                         [this](const std::string& uid) { lost(uid); });
  }
  void stop() { shims_.stop(); }
  void abandon_probes() {
    shims_.abandon_probes();
    tls_prober_.stop();
  }

  // A living shim means that everything before it was done.
  Status create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) {
    const auto paths = pod_paths(roots_, spec.uid, spec.qos_class);
    MOORED_TRY(const bool alive, is_shim_alive(paths.directory));
    if (alive) {
      const auto connection = shims_.require(spec.uid);
      if (connection) return {};
      return Unexpected(connection.error());
    }
    MOORED_TRY(const auto steps, plan_pod(spec, net_namespace, roots_));
    // What an attempt that was cut short left behind goes first; nothing ever ran in it.
    if (path_exists(paths.directory)) static_cast<void>(remove_pod(spec.uid));
    MOORED_CHECK(run_steps(steps, machine_));
    tiers_.put(spec.uid, spec.qos_class, spec.limits.cpu_request_milli);
    if (!spec.share_process_namespace || spec.host_pid) return {};
    auto paused = start_pause(spec);
    if (!paused) static_cast<void>(remove_pod(spec.uid));
    return paused;
  }

  // state.json is the shim's word that the attempt exists; it is written before the answer.
  Status create_container(const std::string& uid, const ContainerSpec& spec) {
    MOORED_TRY(const auto pod, read_pod(pod_directory(uid)));
    const auto pod_at = pod_paths(roots_, uid, pod.spec.qos_class);
    const auto at = container_paths(roots_, pod_at, uid, spec.name, spec.attempt);
    if (path_exists(at.directory + "/state.json")) return {};  // made before
    MOORED_CHECK(write_seccomp(spec));
    if (!spec.log_path.empty()) {
      MOORED_CHECK(
          make_directories(spec.log_path.substr(0, spec.log_path.find_last_of('/')), 0755));
    }
    MOORED_TRY(const auto steps,
               plan_container(pod.spec, spec, roots_, tree_->entrance(at.group), facts_));
    return run_steps(steps, machine_);
  }

  Result<ContainerReport> start_container(const std::string& uid, const std::string& name,
                                          int attempt) {
    MOORED_TRY(const auto connection, shims_.require(uid));
    MOORED_TRY(const auto reply,
               connection->call(container_request("START", name, attempt), kCallTime));
    return report_of(reply.last);
  }

  Status signal_container(const std::string& uid, const std::string& name, int attempt, int signal,
                          bool all) {
    MOORED_TRY(const auto connection, shims_.require(uid));
    auto request = container_request("KILL", name, attempt);
    request.set("signal", signal).set("all", all);
    const auto reply = connection->call(std::move(request), kCallTime);
    if (!reply) return Unexpected(reply.error());
    return {};
  }

  // The shim is told first: it lets go of logs and descriptors before the files go.
  Status remove_container(const std::string& uid, const std::string& name, int attempt) {
    const auto pod = read_pod(pod_directory(uid));
    if (!pod && pod.error().code == Code::not_found) return {};
    if (!pod) return Unexpected(pod.error());
    const auto pod_at = pod_paths(roots_, uid, pod->spec.qos_class);
    const auto at = container_paths(roots_, pod_at, uid, name, attempt);
    if (const auto connection = shims_.find(uid)) {
      // Whoever removes an attempt has its end in the books.
      auto request = container_request("DELETE", name, attempt);
      request.set("acknowledged", true);
      const auto reply = connection->call(std::move(request), kCallTime);
      if (!reply && reply.error().code != Code::unavailable) return Unexpected(reply.error());
    }
    return remove_traces(at);
  }

  // Attempts that have ended are taken along; one that runs is somebody's mistake.
  Status remove_pod(const std::string& uid) {
    const std::string directory = pod_directory(uid);
    if (const auto connection = shims_.find(uid)) {
      MOORED_TRY(const auto reply, connection->call(Record().set("op", "LIST"), kCallTime));
      for (const auto& row : reply.rows) {
        if (row.text_of("name") == kPauseName) {
          MOORED_CHECK(end_attempt(*connection, kPauseName, 0));
          continue;
        }
        if (row.text_of("phase") != "exited") {
          return fail(Code::conflict, "container " + row.text_of("name") + " has not ended");
        }
        const int attempt = static_cast<int>(row.number_of("attempt"));
        MOORED_CHECK(remove_container(uid, row.text_of("name"), attempt));
      }
    }
    return remove_remains(uid, directory);
  }

  Status update_limits(const std::string& uid, const std::string& container,
                       const CgroupLimits& limits) {
    MOORED_TRY(const auto place, find_group(uid, container));
    MOORED_CHECK(tree_->set_limits(place.group, limits, !container.empty()));
    MOORED_CHECK(write_file_durably(place.directory + "/limits.json", format_limits(limits)));
    if (container.empty()) tiers_.put(uid, place.qos_class, limits.cpu_request_milli);
    return {};
  }

  // What was recorded decides how a rounded value is read.
  Result<CgroupLimits> read_limits(const std::string& uid, const std::string& container) {
    MOORED_TRY(const auto place, find_group(uid, container));
    MOORED_TRY(const auto text, read_file(place.directory + "/limits.json", 65536));
    MOORED_TRY(const auto recorded, parse_limits(text));
    return tree_->read_limits(place.group, recorded);
  }

  Result<std::int64_t> read_memory_bytes(const std::string& uid, const std::string& container) {
    MOORED_TRY(const auto place, find_group(uid, container));
    return tree_->read_memory_bytes(place.group);
  }

  Result<std::chrono::nanoseconds> read_cpu_time(const std::string& uid,
                                                 const std::string& container) {
    MOORED_TRY(const auto place, find_group(uid, container));
    return tree_->read_cpu_time(place.group);
  }

  // The shim knows best; without one the files tell.
  Result<std::vector<ContainerReport>> list_containers(const std::string& uid) {
    const auto connection = shims_.find(uid);
    if (!connection) {
      if (!path_exists(pod_directory(uid))) return fail(Code::not_found, "no pod " + uid);
      return read_attempts(pod_directory(uid));
    }
    return list_attempts(*connection);
  }

  Result<ProbeResult> run_probe(const std::string& uid, const ProbeRequest& request) {
    if (request.type == ProbeRequest::Type::http && request.https) {
      MOORED_TRY(const auto pod, read_pod(pod_directory(uid)));
      return tls_prober_.run(request, pod.net_namespace);
    }
    MOORED_TRY(const auto connection, shims_.require(uid));
    MOORED_TRY(const auto reply,
               connection->call(write_probe(request), request.timeout + kProbeSlack, true));
    return read_probe(reply.last);
  }

  // Names that cannot be uids are not ours. What cannot be read now must not be taken for dead.
  Result<std::vector<SandboxReport>> adopt() {
    std::vector<SandboxReport> reports;
    const auto uids = list_directory(options_.run_dir + "/pods");
    if (!uids && is_verdict(uids.error())) return reports;
    if (!uids) return Unexpected(uids.error());
    for (const auto& uid : *uids) {
      if (!is_path_word(uid)) continue;
      MOORED_TRY(auto report, look_at(uid));
      reports.push_back(std::move(report));
    }
    return reports;
  }

  std::vector<SandboxEvent> wait_events(milliseconds timeout) { return events_.take(timeout); }

  Status release() {
    const auto left = list_directory(options_.run_dir + "/pods");
    if (left && !left->empty()) return fail(Code::conflict, "pods are left on this machine");
    shims_.stop_starter();
    MOORED_CHECK(tree_->remove_root(kRemoveTime));
    return release_run_dir(options_.run_dir);
  }

 private:
  // The group and the directory with limits.json of a pod or of a container's latest attempt.
  struct Place {
    std::string group;
    std::string directory;
    std::string qos_class;
  };

  std::string pod_directory(const std::string& uid) const {
    return options_.run_dir + "/pods/" + uid;
  }

  // Limits belong to the attempt that runs now, the latest.
  Result<Place> find_group(const std::string& uid, const std::string& container) {
    const std::string directory = pod_directory(uid);
    MOORED_TRY(const auto pod, read_pod(directory));
    const auto pod_at = pod_paths(roots_, uid, pod.spec.qos_class);
    if (container.empty()) return Place{pod_at.group, directory, pod.spec.qos_class};
    const int attempt = find_latest_attempt(directory, container);
    if (attempt < 0) return fail(Code::not_found, "no container " + container + " in pod " + uid);
    const auto at = container_paths(roots_, pod_at, uid, container, attempt);
    return Place{at.group, at.directory, pod.spec.qos_class};
  }

  // The shim died: its containers go on without anybody who reads or reaps. They are killed, and
  // their end is written down, before the agent is told.
  void lost(const std::string& uid) {
    if (const auto pod = read_pod(pod_directory(uid))) {
      static_cast<void>(tree_->kill(pod_group(uid, pod->spec.qos_class), kKillTime));
      static_cast<void>(record_lost(pod_directory(uid)));
    }
    SandboxEvent event;
    event.type = SandboxEvent::Type::shim_lost;
    event.uid = uid;
    events_.push(std::move(event));
  }

  // The first process of the shared namespace; it stands before any container of the pod.
  Status start_pause(const PodSandboxSpec& spec) {
    const auto pod_at = pod_paths(roots_, spec.uid, spec.qos_class);
    const auto at = container_paths(roots_, pod_at, spec.uid, kPauseName, 0);
    std::vector<HostStep> steps;
    for (const auto& path : {at.directory, at.root, at.writable, at.writable + "/upper",
                             at.writable + "/work", at.writable + "/lower"}) {
      HostStep step;
      step.path = path;
      steps.push_back(step);
    }
    HostStep step;
    step.type = HostStepType::group;
    step.path = at.group;
    steps.push_back(step);
    step.type = HostStepType::file;
    step.path = at.spec;
    step.text = to_text(plan_pause(at, tree_->entrance(at.group)));
    steps.push_back(step);
    step.type = HostStepType::create;
    step.text = kPauseName;
    steps.push_back(step);
    MOORED_CHECK(run_steps(steps, machine_));
    const auto started = start_container(spec.uid, kPauseName, 0);
    if (!started) return Unexpected(started.error());
    return {};
  }

  // The same set of rights gives the same program: built once for each.
  Status write_seccomp(const ContainerSpec& spec) {
    const std::string path = seccomp_file(spec, roots_);
    // Two starters may want the same program at the same time: one writes it, the other finds it.
    const std::lock_guard lock(seccomp_mutex_);
    if (path.empty() || path_exists(path)) return {};
    MOORED_TRY(const auto program, make_seccomp_program(spec.capabilities));
    MOORED_CHECK(make_directories(options_.run_dir + "/seccomp"));
    return write_file_durably(path, program);
  }

  // Processes, then mounts (they went with the processes), then cgroup, then files.
  Status remove_traces(const ContainerPaths& at) {
    MOORED_CHECK(tree_->kill(at.group, kKillTime));
    MOORED_CHECK(tree_->remove(at.group, kRemoveTime));
    MOORED_CHECK(remove_tree(at.writable));
    return remove_tree(at.directory);
  }

  // Removal is the plan undone. Without pod.json the class is not known: all three are tried.
  // A daemon that died in the middle may have left no more than what containers have written.
  Status remove_remains(const std::string& uid, const std::string& directory) {
    if (!is_path_word(uid)) return fail(Code::invalid, "pod uid " + uid);
    const std::string written = options_.state_dir + "/containers/" + uid;
    const auto pod = read_pod(directory);
    if (!pod && !is_verdict(pod.error())) return Unexpected(pod.error());
    if (!pod && !path_exists(directory)) return remove_tree(written);
    const auto spec = pod ? pod->spec : bare_spec(uid);
    const std::set<std::string> classes =
        pod ? std::set<std::string>{spec.qos_class}
            : std::set<std::string>{"Guaranteed", "Burstable", "BestEffort"};
    for (const auto& qos_class : classes) {
      PodSandboxSpec one = spec;
      one.qos_class = qos_class;
      const std::string net = pod ? pod->net_namespace : "";
      one.host_network = net.empty();
      MOORED_TRY(const auto steps, plan_pod(one, net, roots_));
      MOORED_CHECK(undo_steps(steps, machine_));
    }
    tiers_.remove(uid);
    return remove_tree(written);
  }

  // A shim that lives but does not talk is reported as not alive: the agent will remove the pod.
  // Errors: what is missing is ours (descriptors, the disk), and says nothing about the pod.
  Result<SandboxReport> look_at(const std::string& uid) {
    const std::string directory = pod_directory(uid);
    SandboxReport report;
    const auto pod = read_pod(directory);
    if (!pod && !is_verdict(pod.error())) return Unexpected(pod.error());
    report.spec = pod ? pod->spec : bare_spec(uid);
    const auto text = read_file(directory + "/limits.json", 65536);
    const auto limits = text ? parse_limits(*text) : Result<CgroupLimits>(CgroupLimits());
    if (pod && limits) tiers_.put(uid, pod->spec.qos_class, limits->cpu_request_milli);
    MOORED_TRY(report.shim_alive, is_shim_alive(directory));
    if (report.shim_alive && !shims_.find(uid)) {
      const auto connected = shims_.connect(uid);
      if (!connected && connected.error().code == Code::exhausted) {
        return Unexpected(connected.error());
      }
      report.shim_alive = connected.has_value();
    }
    const auto connection = shims_.find(uid);
    if (connection) {
      auto listed = list_attempts(*connection);
      if (listed) report.containers = *std::move(listed);
    } else {
      MOORED_TRY(report.containers, read_attempts(directory));
    }
    return report;
  }

  ShimSandboxOptions options_;
  Roots roots_;
  MachineFacts facts_;
  std::unique_ptr<cgroup::Tree> tree_;
  Tiers tiers_;
  EventQueue events_;
  std::mutex seccomp_mutex_;
  Shims shims_;
  TlsProber tls_prober_;
  Machine machine_;
};

ShimSandbox::ShimSandbox(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ShimSandbox::~ShimSandbox() {
  impl_->stop();
}

Result<std::unique_ptr<ShimSandbox>> ShimSandbox::create(const ShimSandboxOptions& options) {
  MOORED_CHECK(prepare_run_dir(options.run_dir));
  MOORED_CHECK(make_directories(options.run_dir + "/pods", 0700));
  MOORED_CHECK(make_directories(options.state_dir + "/containers", 0700));
  MOORED_TRY(auto tree, cgroup::Tree::create(options.cgroup_root));
  MOORED_TRY(auto starter,
             ShimStarter::create(options.shim_path, options.run_dir + "/pods", *tree));
  MOORED_TRY(const auto capabilities, rights::read_own_capabilities());
  auto impl = std::make_unique<Impl>(options, std::move(tree), std::move(starter), capabilities);
  MOORED_CHECK(impl->listen());
  return std::unique_ptr<ShimSandbox>(new ShimSandbox(std::move(impl)));
}

Status ShimSandbox::create_pod(const PodSandboxSpec& spec, const std::string& net_namespace) {
  return impl_->create_pod(spec, net_namespace);
}
Status ShimSandbox::create_container(const std::string& uid, const ContainerSpec& spec) {
  return impl_->create_container(uid, spec);
}
Result<ContainerReport> ShimSandbox::start_container(const std::string& uid,
                                                     const std::string& name, int attempt) {
  return impl_->start_container(uid, name, attempt);
}
Status ShimSandbox::signal_container(const std::string& uid, const std::string& name, int attempt,
                                     int signal, bool all) {
  return impl_->signal_container(uid, name, attempt, signal, all);
}
Status ShimSandbox::remove_container(const std::string& uid, const std::string& name, int attempt) {
  return impl_->remove_container(uid, name, attempt);
}
Status ShimSandbox::remove_pod(const std::string& uid) {
  return impl_->remove_pod(uid);
}
Status ShimSandbox::update_limits(const std::string& uid, const std::string& container,
                                  const CgroupLimits& limits) {
  return impl_->update_limits(uid, container, limits);
}
Result<CgroupLimits> ShimSandbox::read_limits(const std::string& uid,
                                              const std::string& container) {
  return impl_->read_limits(uid, container);
}
Result<std::vector<ContainerReport>> ShimSandbox::list_containers(const std::string& uid) {
  return impl_->list_containers(uid);
}
Result<ProbeResult> ShimSandbox::run_probe(const std::string& uid, const ProbeRequest& request) {
  return impl_->run_probe(uid, request);
}
Result<std::vector<SandboxReport>> ShimSandbox::adopt() {
  return impl_->adopt();
}
std::vector<SandboxEvent> ShimSandbox::wait_events(milliseconds timeout) {
  return impl_->wait_events(timeout);
}
Result<std::int64_t> ShimSandbox::read_memory_bytes(const std::string& uid,
                                                    const std::string& container) {
  return impl_->read_memory_bytes(uid, container);
}
void ShimSandbox::abandon_probes() {
  impl_->abandon_probes();
}
Result<std::chrono::nanoseconds> ShimSandbox::read_cpu_time(const std::string& uid,
                                                            const std::string& container) {
  return impl_->read_cpu_time(uid, container);
}
Status ShimSandbox::release() {
  return impl_->release();
}

}  // namespace moored::container
