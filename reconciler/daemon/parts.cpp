#include "reconciler/daemon/parts.hpp"

#include <pwd.h>

#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "net/api/transport.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "net/proxy/service_proxy.hpp"
#include "reconciler/core/reduce.hpp"
#include "reconciler/daemon/recovery.hpp"
#include "reconciler/daemon/sources.hpp"
#include "reconciler/loop/loop.hpp"
#include "reconciler/loop/reports.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/agent.hpp"
#include "runtime/agent/executor.hpp"
#include "runtime/agent/node_report.hpp"
#include "runtime/cgroup/tree.hpp"
#include "runtime/container/namespaces.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "runtime/image/content_store.hpp"
#include "runtime/image/image_keeper.hpp"
#include "runtime/image/pulling_store.hpp"
#include "runtime/image/unpack_worker.hpp"
#include "runtime/watch/kernel_watch.hpp"
#include "runtime/watch/layer_watch.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/programs.hpp"
#include "schema/model/flux.hpp"

namespace moored {
namespace {

constexpr std::size_t kStarterThreads = 2;
constexpr std::size_t kProbeThreads = 4;
constexpr unsigned kNobody = 65534;

// First of all, so that the port is known to the packet rules, and a port in use stops a start that
// has done nothing yet.
Status open_api_listener(Parts& parts) {
  const auto& configuration = parts.configuration;
  auto listener =
      net::api::open_listener(configuration.listen_address, configuration.listen_port);
  if (!listener) {
    return Unexpected(std::move(listener).error().context("--listen").mend(
        "another daemon or program may have it (ss -ltnp): give another with --listen"));
  }
  parts.api_listener = *std::move(listener);
  parts.api_port = net::api::port_of(parts.api_listener);
  return {};
}

// Opens the network on the configured or remembered ranges, else on the first pair that is free.
Status open_network(Parts& parts) {
  const auto open = [&](const AddressRanges& ranges) {
    net::PodNetworkOptions options;
    options.instance = parts.identity.instance;
    options.state_directory = parts.configuration.state_dir;
    options.run_directory = parts.configuration.run_dir;
    options.pods = ranges.pods;
    options.services = ranges.services;
    options.refused_ports = {parts.api_port};  // pods have no business there
    return net::RoutedVethNetwork::open(std::move(options), parts.clock);
  };
  MOORED_TRY(const auto fixed, read_ranges(parts.configuration));
  if (fixed) {
    MOORED_TRY(parts.network, open(*fixed));
    parts.ranges = *fixed;
    return write_ranges(parts.configuration.state_dir, *fixed);
  }
  for (std::size_t n = 0;; ++n) {
    const auto ranges = candidate_ranges(n);
    if (!ranges) {
      return Unexpected(Error{Code::conflict, "every range from 10.209 to 10.248 is in use",
                              "RangeInUse", {}, "give --pod-cidr and --service-cidr"});
    }
    auto network = open(*ranges);
    if (!network && network.error().reason == "RangeInUse") continue;
    if (!network) return Unexpected(std::move(network).error());
    parts.network = std::move(*network);
    parts.ranges = *ranges;
    return write_ranges(parts.configuration.state_dir, *ranges);
  }
}

// Called once the network is open, because the plan of the start needs the range of Services that
// was settled on. The configured source is recorded with the operator as its cause.
Status open_store(Parts& parts) {
  MOORED_CHECK(open_surviving_store(parts));
  parts.reports = std::make_unique<StoreReports>(*parts.store);
  const auto view = parts.store->view();
  const Now now = parts.clock.now();
  const PlanContext context{*view, now, parts.store->store_id(), parts.configuration.node_name,
                            net::format(parts.ranges.services)};
  const auto plan = plan_start(configured_objects(parts.configuration), context);
  Cause cause{Cause::Actor::operator_, "configuration", "start of the daemon"};
  const auto recorded = parts.store->record(plan, cause, now);
  if (!recorded) return Unexpected(Error(recorded.error()).context("recording the configuration"));
  return {};
}

// A user that the package makes for a worker. These own nothing, so that where there is none nobody
// will do. Looked up at the start, while there is one thread.
std::pair<unsigned, unsigned> find_worker_user(const char* name) {
  const passwd* user = ::getpwnam(name);
  if (user == nullptr || user->pw_uid == 0) return {kNobody, kNobody};
  return {user->pw_uid, user->pw_gid};
}

void make_pulls(Parts& parts) {
  image::RegistryWorkerOptions worker;
  worker.program = find_program("moored-pull", parts.configuration.libexec_dir);
  worker.user = find_worker_user("moored-pull");
  parts.pulls = std::make_unique<image::PullingStore>(
      parts.configuration.images, *parts.images, image::make_registry_connector(std::move(worker)),
      parts.clock);
}

// The run directory is mounted before anything is written there.
Status open_runtime(Parts& parts) {
  const auto& configuration = parts.configuration;
  container::ShimSandboxOptions options;
  options.run_dir = configuration.run_dir;
  options.state_dir = configuration.state_dir;
  options.instance = parts.identity.instance;
  MOORED_CHECK(container::prepare_run_dir(configuration.run_dir));
  MOORED_TRY(const auto mounts, read_file("/proc/self/mountinfo"));
  MOORED_TRY(options.cgroup_root,
             claim_cgroup_root(configuration, parts.identity.instance,
                               cgroup::find_unified(mounts)));
  options.shim_path = find_program("moored-shim", configuration.libexec_dir);
  options.probe_path = find_program("moored-probe", configuration.libexec_dir);
  options.probe_user = find_worker_user("moored-probe");
  MOORED_TRY(parts.sandbox, container::ShimSandbox::create(options));
  MOORED_CHECK(open_network(parts));
  image::ContentStoreOptions images;
  images.directory = configuration.state_dir + "/images";
  auto unpacker =
      image::make_unpack_worker(find_program("moored-unpack", configuration.libexec_dir),
                                find_worker_user("moored-unpack"));
  MOORED_TRY(parts.images, image::ContentStore::open(std::move(images), std::move(unpacker)));
  make_pulls(parts);
  return {};
}

// Address and range come from the network, as it may have chosen them itself.
void make_agent(Parts& parts) {
  const auto& configuration = parts.configuration;
  AgentOptions options;
  options.state_dir = configuration.state_dir;
  options.run_dir = configuration.run_dir;
  options.log_dir = configuration.log_dir;
  options.node = read_node_facts(configuration.node_name, configuration.state_dir);
  options.node.address = parts.network->node_address();
  options.node.pod_cidr = net::format(parts.ranges.pods);
  options.drift = configuration.drift;
  parts.watch = std::make_unique<watch::KernelWatch>(configuration.run_dir);
  parts.executor = std::make_unique<ThreadExecutor>(kStarterThreads, kProbeThreads);
  parts.agent = std::make_unique<Agent>(
      std::move(options),
      AgentPorts{*parts.store, *parts.sandbox, *parts.network, *parts.pulls, parts.inbox,
                 parts.clock, parts.watch.get()},
      *parts.executor);
  const auto directory = configuration.state_dir + "/images";
  parts.keeper = std::make_unique<image::ImageKeeper>(
      configuration.image_garbage, *parts.images, *parts.store, parts.clock,
      [directory] { return image::read_disk_space(directory); });
  parts.pulls->on_settled([agent = parts.agent.get(),
                           keeper = parts.keeper.get()](const std::string& reference) {
    agent->settle_image(reference);
    keeper->wake();
  });
}

// What an earlier daemon told is read from the record.
Status make_layer_watch(Parts& parts) {
  if (parts.configuration.drift == DriftMode::off) return {};
  constexpr std::size_t kMostRecords = 10'000;
  MOORED_TRY(const auto recorded, parts.store->read_drift(kMostRecords));
  parts.layers = std::make_unique<watch::LayerWatch>(
      watch::LayerWatchOptions{parts.configuration.run_dir, parts.configuration.node_name},
      parts.inbox, parts.clock, recorded);
  return {};
}

Status make_proxy(Parts& parts) {
  net::ProxyOptions options;
  options.rules.instance = parts.identity.instance;
  options.rules.services = parts.ranges.services;
  options.node_name = parts.configuration.node_name;
  options.drift = parts.configuration.drift;
  MOORED_TRY(auto kernel, net::open_proxy_kernel());
  parts.proxy = std::make_unique<net::ServiceProxy>(options, std::move(kernel), *parts.store,
                                                    *parts.store, parts.inbox, parts.clock);
  return {};
}

// The configured URL is allowed even if it is local: it comes from the operator and not from a
// manifest.
void make_follower(Parts& parts, std::optional<std::pair<unsigned, unsigned>> user) {
  const auto& configuration = parts.configuration;
  WorkerReader::Options reader;
  reader.program = find_program("moored-git", configuration.libexec_dir);
  reader.mirror_root = configuration.state_dir + "/mirrors";
  reader.policy = configuration.policy;
  reader.source_floors = configuration.source_floors;
  reader.user = user;
  reader.rights = configuration.source_rights;
  reader.host = configuration.node_name;
  reader.secrets_directory = configuration.secrets_dir;
  parts.reader = std::make_unique<WorkerReader>(std::move(reader));
  std::vector<std::string> sources;
  for (const auto& source : parts.store->view()->list(kind_of<GitRepository>())) {
    sources.push_back(source.key().namespace_name + '/' + source.key().name);
  }
  // Room is not worth a failed start: what is left over stays until the next one.
  const auto cleared = parts.reader->remove_mirrors_except(sources);
  if (!cleared) {
    log(LogLevel::warning, "old mirrors stay", {{"error", cleared.error().text()}});
  }
  GitFollowerOptions options;
  options.allow_local = configuration.allow_local_sources;
  options.fast_forward_only = configuration.fast_forward_only;
  if (!configuration.git_url.empty()) options.allowed_urls = {configuration.git_url};
  parts.follower = std::make_unique<GitFollower>(
      GitFollower::Ports{*parts.reader, *parts.store, *parts.store, parts.inbox, parts.clock,
                         parts.random},
      std::move(options));
}

void make_loop(Parts& parts) {
  LoopOptions options;
  options.node_name = parts.configuration.node_name;
  options.service_cidr = net::format(parts.ranges.services);
  options.clock = &parts.clock;
  parts.loop = std::make_unique<Loop>(*parts.store, parts.inbox, make_controllers(), &reduce,
                                      parts.random, std::move(options));
}

}  // namespace

Parts::Parts() = default;
Parts::~Parts() = default;

Result<std::unique_ptr<Parts>> make_parts(const Configuration& configuration) {
  auto parts = std::make_unique<Parts>();
  parts->configuration = configuration;
  MOORED_TRY(const auto git_user, find_git_user(configuration));
  MOORED_TRY(parts->identity, claim_state(configuration.state_dir, parts->random));
  MOORED_CHECK(open_api_listener(*parts));
  MOORED_CHECK(make_directories(configuration.run_dir, 0711));
  MOORED_CHECK(make_directories(configuration.log_dir, 0711));
  MOORED_CHECK(open_runtime(*parts));
  MOORED_CHECK(open_store(*parts));
  make_agent(*parts);
  MOORED_CHECK(make_layer_watch(*parts));
  MOORED_CHECK(make_proxy(*parts));
  make_follower(*parts, git_user);
  make_loop(*parts);
  return parts;
}

}  // namespace moored
