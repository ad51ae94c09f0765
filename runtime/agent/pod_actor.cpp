#include "runtime/agent/pod_actor.hpp"

#include <algorithm>

#include "runtime/agent/container_mounts.hpp"
#include "runtime/agent/container_plan.hpp"
#include "runtime/agent/limit_drift.hpp"
#include "runtime/agent/log_reader.hpp"
#include "runtime/agent/pod_action.hpp"
#include "runtime/agent/pod_files.hpp"
#include "runtime/agent/probe_plan.hpp"
#include "runtime/agent/probe_request.hpp"
#include "runtime/agent/pull_secrets.hpp"
#include "runtime/agent/resources.hpp"
#include "schema/codec/codec.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/image_store.hpp"
#include "schema/ports/pod_network.hpp"
#include "schema/ports/sandbox_watch.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::agent {
namespace {

constexpr int kKillSignal = 9;

// Puts a reason word on an error that has none yet.
Unexpected because(Error error, const char* reason) {
  return Unexpected(std::move(error).because(reason));
}

// The same attempt in the same sandbox always has the same id.
std::string make_container_id(const ActorPod& pod, const Action& action) {
  const std::string& uid = pod.object.meta().uid;
  return sha256_hex(uid + "/" + std::to_string(pod.sandboxes_made) + "/" + action.container + "/" +
                    std::to_string(action.attempt));
}

// What the sandbox keeps of a pod for good, the Pod object itself included.
PodSandboxSpec make_sandbox_spec(const Object& object, const Machine& machine) {
  const Pod& pod = object.as<Pod>();
  PodSandboxSpec spec;
  spec.uid = pod.metadata.uid;
  spec.namespace_name = pod.metadata.namespace_name;
  spec.name = pod.metadata.name;
  spec.resource_version = std::strtoll(pod.metadata.resource_version.c_str(), nullptr, 10);
  for (const auto& owner : pod.metadata.owner_references) spec.owner_uids.push_back(owner.uid);
  spec.pod_json = encode_json(object);
  spec.hostname = get_hostname(pod, machine.node_name);
  spec.qos_class = get_qos_class(pod.spec);
  spec.limits = make_pod_limits(pod.spec);
  spec.log_directory = pod_log_directory(machine.log_dir, pod.metadata);
  spec.host_network = pod.spec.host_network;
  spec.host_ipc = pod.spec.host_ipc;
  spec.host_pid = pod.spec.host_pid;
  spec.share_process_namespace = pod.spec.share_process_namespace.value_or(false);
  if (pod.spec.security_context) {
    for (const auto& sysctl : pod.spec.security_context->sysctls) {
      spec.sysctls[sysctl.name] = sysctl.value;
    }
  }
  return spec;
}

}  // namespace

PodActor::PodActor(Sandbox& sandbox, PodNetwork& network, ImageStore& images,
                   const StateSource& source, const Clock& clock, const VolumeStore& volumes,
                   Machine machine, SandboxWatch* watch)
    : sandbox_(sandbox),
      network_(network),
      images_(images),
      source_(source),
      clock_(clock),
      volumes_(volumes),
      machine_(std::move(machine)),
      watch_(watch) {}

Outcome PodActor::perform(const ActorPod& pod, const Action& action) const {
  Outcome outcome;
  outcome.action = action;
  const std::string& uid = pod.object.meta().uid;
  Status status;
  using Type = Action::Type;
  switch (action.type) {
    case Type::prepare: status = prepare(pod, outcome); break;
    case Type::start: status = start(pod, outcome); break;
    case Type::signal:
    case Type::kill: status = signal(pod, action); break;
    case Type::collect:
      status = sandbox_.remove_container(uid, action.container, action.attempt);
      break;
    case Type::reset: status = reset(uid); break;
    case Type::release: status = remove(pod.object.as<Pod>(), false); break;
    case Type::remove: status = remove(pod.object.as<Pod>(), true); break;
    case Type::post_start:
    case Type::pre_stop: status = run_hook(pod, outcome); break;
    case Type::probe: status = run_probe(pod, outcome); break;
  }
  if (!status) outcome.error = std::move(status).error();
  return outcome;
}

// What fieldRef and resourceFieldRef can speak of.
FieldContext PodActor::make_context(const Pod& pod, const std::string& address) const {
  const std::string node = network_.node_address();
  return {pod, pod.spec.host_network ? node : address, node, machine_.cpu, machine_.memory};
}

// ---- the pod as a whole ----

// Network, then volumes, then shim; each step may be repeated after a failure of the next.
Status PodActor::prepare(const ActorPod& pod, Outcome& outcome) const {
  const Pod& spec = pod.object.as<Pod>();
  std::string address = network_.node_address();
  std::string net_namespace;
  if (!spec.spec.host_network) {
    MOORED_TRY(const auto network, network_.create(spec.metadata.uid));
    address = network.address;
    net_namespace = network.namespace_path;
  }
  const auto view = source_.view();
  MOORED_TRY(const auto places,
             volumes_.prepare(make_context(spec, address), *view, clock_.now().wall));
  MOORED_CHECK(write_etc_files(spec, address, outcome));
  for (const auto* list : {&spec.spec.init_containers, &spec.spec.containers}) {
    for (const auto& container : *list) {
      const std::string logs = pod_log_directory(machine_.log_dir, spec.metadata);
      MOORED_CHECK(make_directories(logs + "/" + container.name, 0750));
    }
  }
  MOORED_CHECK(sandbox_.create_pod(make_sandbox_spec(pod.object, machine_), net_namespace));
  outcome.address = address;
  return {};
}

// Files that every container of the pod gets unless it mounts its own.
Status PodActor::write_etc_files(const Pod& pod, const std::string& address,
                                 Outcome& outcome) const {
  const std::string directory = volumes_.get_pod_directory(pod.metadata.uid) + "/etc";
  const std::string hostname = get_hostname(pod, machine_.node_name);
  // A node without these files is a node without entries.
  const std::string node_hosts = read_file(machine_.hosts).value_or("");
  const ResolverFile resolver =
      make_resolver_file(pod, read_file(machine_.resolv_conf).value_or(""));
  MOORED_CHECK(make_directories(directory, 0755));
  const auto write = [&](const char* name, const std::string& text) {
    return write_file(directory + "/" + name, text, true, 0644);
  };
  MOORED_CHECK(write("hosts", make_hosts_file(pod, address, hostname, node_hosts)));
  MOORED_CHECK(write("hostname", hostname + "\n"));
  MOORED_CHECK(write("resolv.conf", resolver.text));
  if (resolver.fell_back) {
    outcome.notes.push_back({true, "MissingClusterDNS",
                             "moored has no cluster DNS yet: dnsPolicy \"ClusterFirst\" uses the "
                             "node's resolvers",
                             {}});
  }
  for (const auto& words : resolver.cut) {
    outcome.notes.push_back({true, "DNSConfigForming", words, {}});
  }
  return {};
}

// The shim is gone: what it left is removed, address and volumes stay.
Status PodActor::reset(const std::string& uid) const { return sandbox_.remove_pod(uid); }

// Shim, network, volumes, in the order in which they depend on one another.
Status PodActor::remove(const Pod& pod, bool with_logs) const {
  const std::string& uid = pod.metadata.uid;
  // A container that was made and never started still waits: it would keep the shim alive.
  const auto left = sandbox_.list_containers(uid);
  for (const auto& one : left.value_or(std::vector<ContainerReport>{})) {
    if (one.phase == ContainerPhase::exited) continue;
    MOORED_CHECK(sandbox_.signal_container(uid, one.name, one.attempt, kKillSignal, true));
  }
  MOORED_CHECK(sandbox_.remove_pod(uid));
  if (!pod.spec.host_network) MOORED_CHECK(network_.remove(uid));
  MOORED_CHECK(volumes_.remove(uid));
  if (with_logs) MOORED_CHECK(remove_tree(pod_log_directory(machine_.log_dir, pod.metadata)));
  return {};
}

// ---- one container ----

// The image, or why not in the words that the pull policy calls for.
Result<ObtainedImage> PodActor::obtain_image(const Pod& pod, const Container& container,
                                             Outcome& outcome) const {
  ImageRequest request;
  request.reference = container.image;
  request.policy = container.image_pull_policy;
  request.requester = pod.metadata.uid + "/" + container.name + "/" +
                      std::to_string(outcome.action.attempt);
  if (request.policy != "Never") {
    auto secrets = read_pull_secrets(pod, *source_.view());
    request.credentials = std::move(secrets.texts);
    outcome.missing_pull_secrets = std::move(secrets.missing);
  }
  auto image = images_.obtain(request);
  if (image) return image;
  Error error = std::move(image).error();
  if (error.reason == kPullingReason) return Unexpected(std::move(error));
  if (error.reason == "InvalidImageName") {
    error.message = "Failed to apply default image tag \"" + container.image +
                    "\": couldn't parse image name: " + error.message;
    return because(std::move(error), "InvalidImageName");
  }
  if (error.code == Code::not_found && container.image_pull_policy == "Never") {
    error.message = "Container image \"" + container.image +
                    "\" is not present with pull policy of Never";
    return because(std::move(error), "ErrImageNeverPull");
  }
  return because(std::move(error), "ErrImagePull");
}

// Everything of one attempt, resolved. Reads the newest ConfigMaps, Secrets and Services.
Result<ContainerSpec> PodActor::make_spec(const ActorPod& pod, const Container& container,
                                          const ImageReport& image, Outcome& outcome) const {
  const Pod& of = pod.object.as<Pod>();
  const auto view = source_.view();
  const FieldContext context = make_context(of, pod.address);
  MOORED_TRY(const auto environment, make_environment(context, container, *view));
  if (!environment.invalid_names.empty()) {
    std::string names;
    for (const auto& name : environment.invalid_names) names += " " + name;
    outcome.notes.push_back({true, "InvalidEnvironmentVariableNames",
                             "keys skipped because they are no environment variable names:" + names,
                             container.name});
  }
  const auto accounts = read_account_files(image.layers);
  if (!accounts) return because(accounts.error(), "CreateContainerError");
  const std::string logs = pod_log_directory(machine_.log_dir, of.metadata) + "/" + container.name;
  const ContainerInputs inputs{of,
                               container,
                               image,
                               *accounts,
                               environment,
                               get_hostname(of, machine_.node_name),
                               machine_.memory.value,
                               outcome.action.attempt,
                               outcome.container_id,
                               logs + "/" + std::to_string(outcome.action.attempt) + ".log"};
  MOORED_TRY(auto spec, make_container_spec(inputs));
  const std::string etc = volumes_.get_pod_directory(of.metadata.uid) + "/etc";
  MOORED_TRY(spec.mounts, make_mounts(of, container, volumes_.get_places(of), etc,
                                      environment.by_name()));
  Mount message;
  message.destination = spec.termination_message_path;
  MOORED_TRY(message.source, volumes_.make_message_file(of.metadata.uid, container.name,
                                                        outcome.action.attempt));
  spec.termination_message_path = message.source;
  spec.mounts.push_back(std::move(message));
  add_image_volumes(image.volumes, spec.mounts);
  return spec;
}

// An earlier call may have started the attempt without its answer coming through. If it has ended
// since, its end is the answer.
Result<ContainerReport> PodActor::start_attempt(const std::string& uid,
                                                const Action& action) const {
  auto started = sandbox_.start_container(uid, action.container, action.attempt);
  if (started || started.error().code != Code::conflict) return started;
  const auto known = sandbox_.list_containers(uid);
  if (!known) return started;
  for (const auto& report : *known) {
    const bool same = report.name == action.container && report.attempt == action.attempt;
    if (same && report.phase == ContainerPhase::exited) return report;
  }
  return started;
}

// Makes and starts one attempt. Both calls are idempotent, so a lost answer is made up for.
Status PodActor::start(const ActorPod& pod, Outcome& outcome) const {
  const Pod& of = pod.object.as<Pod>();
  const Action& action = outcome.action;
  const Container* container = find_container(of.spec, action.container);
  if (container == nullptr) return fail(Code::internal, "no container " + action.container);
  outcome.container_id = make_container_id(pod, action);
  MOORED_TRY(const auto obtained, obtain_image(of, *container, outcome));
  const ImageReport& image = obtained.image;
  if (obtained.fetched) {
    outcome.fetched = Outcome::Fetched{obtained.took, obtained.waited, image.size_bytes};
  }
  MOORED_TRY(const auto spec, make_spec(pod, *container, image, outcome));
  auto created = sandbox_.create_container(of.metadata.uid, spec);
  if (!created) return because(std::move(created).error(), "CreateContainerError");
  auto started = start_attempt(of.metadata.uid, action);
  if (!started) {
    Error error = std::move(started).error();
    error.message = "failed to start container \"" + action.container + "\": " + error.message;
    // invalid: the program itself cannot run. Anything else is our own trouble and tried again.
    const bool program = error.code == Code::invalid;
    return because(std::move(error), program ? "StartError" : "RunContainerError");
  }
  outcome.report = *started;
  if (watch_ != nullptr) watch_->remember(of.metadata.uid, action.container, action.attempt);
  outcome.image = image.name;
  // host:port/path:tag or host:port/path@digest
  const auto name = image.name.substr(0, image.name.find('@'));
  const auto slash = name.find_last_of("/:");
  const bool tagged = slash != std::string::npos && name[slash] == ':';
  const std::string repository = tagged ? name.substr(0, slash) : name;
  outcome.image_id = image.digest.empty() ? "" : repository + "@" + image.digest;
  outcome.stop_signal = spec.stop_signal;
  return {};
}

// SIGKILL goes to the whole container, the stop signal to its first process only.
Status PodActor::signal(const ActorPod& pod, const Action& action) const {
  const std::string& uid = pod.object.meta().uid;
  if (action.type == Action::Type::kill) {
    return sandbox_.signal_container(uid, action.container, action.attempt, kKillSignal, true);
  }
  const auto known = pod.stop_signals.find(action.container);
  int number = known == pod.stop_signals.end() ? 0 : known->second;
  const Container* container = find_container(pod.object.as<Pod>().spec, action.container);
  if (number == 0 && container != nullptr) {
    // Started by an earlier daemon. An image that is gone by now means the default signal.
    const auto image = images_.find(container->image);
    number = parse_stop_signal(image ? image->stop_signal : std::string());
  }
  return sandbox_.signal_container(uid, action.container, action.attempt, number, false);
}

// ---- hooks and probes ----

// Runs in a thread of its own lane: may take as long as the grace period.
Status PodActor::run_hook(const ActorPod& pod, Outcome& outcome) const {
  const Pod& of = pod.object.as<Pod>();
  const Container* container = find_container(of.spec, outcome.action.container);
  const bool first = outcome.action.type == Action::Type::post_start;
  if (container == nullptr || !container->lifecycle) return {};
  const auto& hook = first ? container->lifecycle->post_start : container->lifecycle->pre_stop;
  if (!hook) return {};
  MOORED_TRY(const auto request,
             make_hook_request(*container, *hook, make_context(of, pod.address).pod_ip,
                               outcome.action.timeout));
  MOORED_TRY(auto result, sandbox_.run_probe(of.metadata.uid, request));
  // Of an HTTP hook only a request that could not be made is an error.
  constexpr std::string_view kAnswered = "HTTP probe failed with statuscode";
  const bool http = request.type == ProbeRequest::Type::http;
  if (http && result.output.rfind(kAnswered, 0) == 0) {
    result.outcome = ProbeResult::Outcome::success;
  }
  outcome.probe = std::move(result);
  return {};
}

// One run of one probe, from inside the pod's network.
Status PodActor::run_probe(const ActorPod& pod, Outcome& outcome) const {
  const Pod& of = pod.object.as<Pod>();
  const Container* container = find_container(of.spec, outcome.action.container);
  if (container == nullptr || !get_probe(*container, outcome.action.probe)) return {};
  MOORED_TRY(const auto request,
             make_probe_request(*container, *get_probe(*container, outcome.action.probe),
                                make_context(of, pod.address).pod_ip));
  MOORED_TRY(auto result, sandbox_.run_probe(of.metadata.uid, request));
  outcome.probe = std::move(result);
  return {};
}

// ---- keeping things as desired ----

// Called only while nothing else is done to the pod.
Status PodActor::refresh_volumes(const ActorPod& pod) const {
  const Pod& of = pod.object.as<Pod>();
  const auto view = source_.view();
  auto changed = volumes_.refresh(make_context(of, pod.address), *view, clock_.now().wall);
  if (!changed) return Unexpected(std::move(changed).error());
  return {};
}

Result<std::vector<DriftRecord>> PodActor::compare_group_limits(
    const ActorPod& pod, const std::vector<std::string>& running, bool correct) const {
  const Pod& of = pod.object.as<Pod>();
  std::vector<DriftRecord> drift;
  const auto look = [&](const std::string& container, const CgroupLimits& desired) -> Status {
    const auto observed = sandbox_.read_limits(of.metadata.uid, container);
    if (!observed) return {};  // just gone: an end is told by its own event
    auto found = compare_limits(container, desired, *observed);
    if (found.empty()) return {};
    if (correct) MOORED_CHECK(sandbox_.update_limits(of.metadata.uid, container, desired));
    for (auto& record : found) {
      if (!correct) record.correction.clear();
      drift.push_back(std::move(record));
    }
    return {};
  };
  MOORED_CHECK(look("", make_pod_limits(of.spec)));
  for (const auto& name : running) {
    const Container* container = find_container(of.spec, name);
    if (container != nullptr) MOORED_CHECK(look(name, make_container_limits(*container)));
  }
  return drift;
}

}  // namespace moored::agent
