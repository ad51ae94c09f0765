#include "tests/sim/daemon.hpp"

#include "schema/codec/codec.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/file.hpp"
#include "schema/model/flux.hpp"
#include "tests/world/one_unit.hpp"

namespace moored::sim {
namespace {

// A second unit of the same source, whose objects no commit changes.
constexpr const char* kSecondUnit = R"(
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: second, namespace: moored-system}
spec:
  interval: 10s
  path: ./second
  prune: true
  sourceRef: {kind: GitRepository, name: default}
)";
constexpr const char* kStoreFiles[] = {"moored.db", "moored.db-wal"};
constexpr std::size_t kMaxStoreFile = std::size_t{1} << 28U;
// Short, so that watches lose sight and must begin anew.
constexpr Duration kHistory = std::chrono::seconds(20);

std::vector<Object> configured() {
  Diagnostics diagnostics;
  std::vector<Object> objects;
  const std::string text = std::string(test::kOneUnit) + kSecondUnit;
  for (const Value& document : read_yaml(text, "moored.yaml", diagnostics)) {
    auto object = decode_manifest(document, "moored.yaml", diagnostics);
    MOORED_ASSERT(object.has_value());
    objects.push_back(*object);
  }
  return objects;
}

PortFaults faults_of(const Surroundings& around) {
  return {&around.odds, &around.dice};
}

AgentOptions agent_options(const Surroundings& around) {
  AgentOptions options;
  options.state_dir = around.directory + "/state";
  options.run_dir = around.directory + "/run";
  options.log_dir = around.directory + "/log";
  options.resolv_conf = around.directory + "/no-resolv.conf";
  options.hosts = around.directory + "/no-hosts";
  options.node.name = "node-1";
  options.node.address = "10.209.0.1";
  options.node.cpu = MilliCpu{4000};
  options.node.memory = Bytes{8LL << 30U};
  options.node.max_pods = 110;
  options.node.architecture = "amd64";
  // The periodic look is off: it would hide what is forgotten.
  options.sweep = std::chrono::hours(24 * 365);
  return options;
}

LoopOptions loop_options() {
  LoopOptions options;
  options.node_name = "node-1";
  options.relook.reset();
  options.compact = CompactOptions{};
  options.compact->keep = kHistory;
  return options;
}

}  // namespace

void SimExecutor::submit(Lane lane, Job job) {
  lanes_[lane == Lane::work ? 0 : 1].push_back(std::move(job));
}

void SimExecutor::run_one(Dice& dice) {
  std::deque<Job>& first = lanes_[dice.below(2)];
  std::deque<Job>& lane = !first.empty() ? first : (&first == lanes_ ? lanes_[1] : lanes_[0]);
  Job job = std::move(lane.front());
  lane.pop_front();
  job();
}

Daemon::Daemon(Surroundings around)
    : around_(around),
      sink_(inbox_),
      sandbox_(around.machine, around.clock, faults_of(around)),
      network_(around.machine, faults_of(around)),
      images_(around.directory + "/layer"),
      reader_(around.remote, around.clock, faults_of(around)) {
  read_disk();
  StoreOptions options;
  options.directory = around_.directory + "/store";
  options.vfs = disk_.name();
  options.store_id = "0123456789ab";
  options.durable = !is_planted(Planted::unsynced_commits);
  options.checkpoint_on_close = false;
  auto store = Store::open(options);
  if (!store) {
    failure_ = "the store cannot be opened: " + store.error().text();
    return;
  }
  store_ = *std::move(store);
  token_ = store_->subscribe(&Daemon::on_revision, this);
  agent_state_ = std::make_unique<PlantedState>(*store_, PlantedState::Reader::agent);
  watch_state_ = std::make_unique<PlantedState>(*store_, PlantedState::Reader::watch);
  record_start();
  loop_ = std::make_unique<Loop>(*store_, inbox_, make_planted_controllers(*store_),
                                 &planted_reduce, around_.dice, loop_options());
  agent_ = std::make_unique<Agent>(
      agent_options(around_),
      AgentPorts{*agent_state_, sandbox_, network_, images_, sink_, around_.clock}, executor_);
  follower_ = std::make_unique<GitFollower>(
      GitFollower::Ports{reader_, *store_, *store_, sink_, around_.clock, around_.dice},
      GitFollowerOptions{});
  loop_due_ = around_.clock.now().mono;
  agent_due_ = follower_due_ = around_.clock.now().mono;
}

Daemon::~Daemon() {
  follower_.reset();
  agent_.reset();
  loop_.reset();
  if (store_) store_->unsubscribe(token_);
}

void Daemon::on_revision(void* context, std::int64_t) {
  auto& self = *static_cast<Daemon*>(context);
  self.news_for_agent_ = self.news_for_agent_ || !is_planted(Planted::unheard_commits);
  self.news_for_follower_ = true;
}

// The files of the store as this life finds them, for a power cut within it.
void Daemon::read_disk() {
  for (const char* name : kStoreFiles) {
    const auto bytes = read_file(around_.directory + "/store/" + name, kMaxStoreFile);
    if (!bytes) continue;
    found_.push_back({test::DiskStep::Type::write, name, 0, *bytes});
    found_.push_back({test::DiskStep::Type::sync, name, 0, {}});
  }
  disk_.start_recording();
}

std::map<std::string, std::string> Daemon::cut_power() const {
  std::vector<test::DiskStep> steps = found_;
  steps.insert(steps.end(), disk_.steps().begin(), disk_.steps().end());
  return test::cut_power(steps, steps.size(), around_.dice.next());
}

void Daemon::break_disk() {
  const bool full = around_.dice.below(2) == 0;
  disk_.fail_at(static_cast<int>(around_.dice.below(6)),
                full ? test::FaultDisk::Fault::full : test::FaultDisk::Fault::io_error, false);
}

void Daemon::record_start() {
  const Now now = around_.clock.now();
  const auto view = store_->view();
  const PlanContext context{*view, now, store_->store_id(), "node-1", "10.210.0.0/16"};
  const Plan plan = plan_start(configured(), context);
  if (plan.empty()) return;
  const auto recorded = store_->record(plan, {Cause::Actor::operator_, "moored.yaml", ""}, now);
  if (!recorded) failure_ = "the start cannot be recorded: " + recorded.error().text();
}

std::vector<Daemon::Part> Daemon::list_ready() const {
  const MonoTime now = around_.clock.now().mono;
  std::vector<Part> ready;
  // Facts that were put back are no news: the loop says when it takes them again.
  if (sink_.has_news() || (loop_due_ && *loop_due_ <= now)) ready.push_back(Part::loop);
  const bool events = !around_.machine.events.empty();
  if (news_for_agent_ || events || agent_due_ <= now) ready.push_back(Part::agent);
  if (news_for_follower_ || follower_due_ <= now) ready.push_back(Part::follower);
  if (!executor_.empty()) ready.push_back(Part::job);
  return ready;
}

bool Daemon::run_one() {
  const auto ready = list_ready();
  if (ready.empty()) return false;
  run(ready[around_.dice.below(ready.size())]);
  return true;
}

void Daemon::run(Part part) {
  const Now now = around_.clock.now();
  switch (part) {
    case Part::loop:
      sink_.take_news();
      loop_due_ = loop_->step(now);
      break;
    case Part::agent:
      news_for_agent_ = false;
      agent_due_ = agent_->step(now);
      break;
    case Part::follower:
      news_for_follower_ = false;
      follower_due_ = follower_->step(now);
      break;
    case Part::job:
      news_for_agent_ = true;
      executor_.run_one(around_.dice);
      break;
  }
}

std::optional<MonoTime> Daemon::find_due() const {
  MonoTime due = std::min(agent_due_, follower_due_);
  if (loop_due_) due = std::min(due, *loop_due_);
  return due;
}

std::string Daemon::check_audit() const {
  const auto verdict = store_->verify_audit();
  return verdict ? std::string() : "the audit chain is broken: " + verdict.error().text();
}

}  // namespace moored::sim
