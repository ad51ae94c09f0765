#include "net/proxy/service_proxy.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "schema/base/log.hpp"
#include "schema/host/unique_fd.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"

namespace moored::net {
namespace {

using Blocks = std::map<std::string, std::string>;

// Differences told one by one; a table that is gone altogether is one difference.
constexpr std::size_t kMaxDriftPosts = 20;
// Foreign transactions are looked at no more often than this.
constexpr std::chrono::seconds kLookPause{1};
// Doubled after each failure up to the last, and back to the first after a success.
constexpr std::chrono::seconds kFirstRetry{1};
constexpr std::chrono::seconds kLastRetry{30};
constexpr std::chrono::hours kNever{24 * 365};

// The proxy acts for the kernel's side: nobody asked for what it tells, it was seen.
Cause kernel_cause(const std::string& observation) {
  return {Cause::Actor::kernel, "moored-proxy", observation};
}

// The lines of a that b lacks; all of them when only the order differs.
std::string lines_beyond(const std::string& a, const std::string& b) {
  std::set<std::string> known;
  std::istringstream others(b);
  for (std::string line; std::getline(others, line);)
    known.insert(line);
  std::string out;
  std::istringstream own(a);
  for (std::string line; std::getline(own, line);) {
    if (known.count(line) != 0) continue;
    const auto text = line.find_first_not_of(" \t");
    if (text != std::string::npos) out += (out.empty() ? "" : "; ") + line.substr(text);
  }
  return out;
}

// What differs between two sets of blocks: names, with the lines that only one side has.
struct BlockFault {
  std::string block;
  std::string desired;
  std::string observed;
};
// A block that is not wanted is a fault like a missing one: the table is ours alone.
std::vector<BlockFault> compare_blocks(const Blocks& desired, const Blocks& observed) {
  if (observed.empty() && !desired.empty()) return {{"table", "present", "missing"}};
  const auto or_order = [](const std::string& lines) {
    return lines.empty() ? std::string("nothing else, in its order") : lines;
  };
  std::vector<BlockFault> faults;
  for (const auto& [name, text] : desired) {
    const auto found = observed.find(name);
    if (found == observed.end()) {
      faults.push_back({name, "present", "missing"});
    } else if (found->second != text) {
      faults.push_back({name, or_order(lines_beyond(text, found->second)),
                        or_order(lines_beyond(found->second, text))});
    }
  }
  for (const auto& [name, text] : observed) {
    if (desired.count(name) == 0) faults.push_back({name, "absent", lines_beyond(text, {})});
  }
  return faults;
}

}  // namespace

class ServiceProxy::State {
 public:
  State(ProxyOptions given, ProxyKernel seams, const StateSource& source, RevisionSignal& wake,
        FactSink& sink, const Clock& time)
      : options(std::move(given)),
        kernel(std::move(seams)),
        state(source),
        signal(wake),
        facts(sink),
        clock(time),
        wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // ---- looking at recorded state
  bool concerned(std::int64_t resource_version) const;
  ServiceTable read_wanted(std::int64_t& resource_version) const;
  bool may_wait(const ServiceTable& wanted) const;
  Status look(bool patient);

  // ---- changing the kernel
  Status apply(const std::string& script);
  Status take_over(const ServiceTable& wanted, bool& changed);
  Status program(const ServiceTable& wanted, bool& changed);
  void forget_flows(const ServiceTable& before, const ServiceTable& after);
  void tell_applied(std::int64_t resource_version, const Status& status);

  // ---- comparing with the kernel
  Result<Blocks> read_blocks();
  Result<Blocks> read_desired_blocks();
  Status compare(const std::string& author);
  void tell_drift(const std::vector<BlockFault>& faults, const std::string& author, Time onset,
                  const std::string& correction);
  void tell_over(const std::vector<BlockFault>& faults);
  DriftMode drop_unwanted(std::vector<BlockFault>& faults) const;
  void post(DriftRecord record, const std::string& correction);
  ObjectKey find_object(const std::string& block) const;

  // ---- the loop
  std::chrono::milliseconds get_pause() const;
  void look_when_due();
  void compare_when_due();
  void wait(std::chrono::milliseconds timeout, bool with_events);
  void note_failure(const Status& status, const char* what);
  std::string table() const { return service_table_name(options.rules.instance); }
  MonoTime now() const { return clock.now().mono; }

  const ProxyOptions options;
  ProxyKernel kernel;
  const StateSource& state;
  RevisionSignal& signal;
  FactSink& facts;
  const Clock& clock;
  UniqueFd wake_fd;

  std::optional<ServiceTable> applied;    // what the kernel holds; nothing: not known
  std::int64_t seen = 0;                  // resource version that applied is still right for
  std::optional<std::uint32_t> verified;  // rule generation known to hold exactly applied
  std::optional<Blocks> desired_blocks;   // of applied
  std::map<std::string, DriftRecord> open;  // reported and left alone, by block
  std::string last_error;
  MonoTime last_apply{};
  MonoTime next_sweep{};
  MonoTime next_event_look{};
  MonoTime retry_at{};
  std::chrono::seconds retry_pause = kFirstRetry;
  std::optional<MonoTime> gather_until;
};

// ---- looking at recorded state -----------------------------------------------------------------

// True when a Service, an EndpointSlice or a Pod changed since the last look (or nobody can tell).
bool ServiceProxy::State::concerned(std::int64_t resource_version) const {
  if (!applied) return true;
  if (resource_version == seen) return false;
  for (const auto* kind : {&kind_of<Service>(), &kind_of<EndpointSlice>(), &kind_of<Pod>()}) {
    const auto changes = state.changes_since(kind, seen, 1);
    if (!changes || !changes->empty()) return true;
  }
  return false;
}

// One view for all three kinds, so that a Service and its endpoints are of the same moment.
ServiceTable ServiceProxy::State::read_wanted(std::int64_t& resource_version) const {
  const auto view = state.view();
  resource_version = view->resource_version();
  return plan_services(view->list(kind_of<Service>()), view->list(kind_of<EndpointSlice>()),
                       view->list(kind_of<Pod>()));
}

// Several pods becoming ready together make one transaction; an endpoint that goes must not get
// one more connection.
bool ServiceProxy::State::may_wait(const ServiceTable& wanted) const {
  return applied && !takes_away(*applied, wanted) && now() - last_apply < options.gather;
}

// After a failure nobody knows what the kernel holds: the next look takes over from the
// start.
Status ServiceProxy::State::look(bool patient) {
  const auto newest = state.view()->resource_version();
  if (!concerned(newest)) {
    gather_until.reset();
    seen = newest;  // or each look would ask for more of the log than the one before
    return {};
  }
  std::int64_t resource_version = 0;
  auto wanted = read_wanted(resource_version);
  if (patient && may_wait(wanted)) {
    gather_until = last_apply + options.gather;
    return {};
  }
  gather_until.reset();
  bool changed = false;
  const auto status = program(wanted, changed);
  if (status) {
    forget_flows(applied.value_or(ServiceTable{}), wanted);
    applied = std::move(wanted);
    seen = resource_version;
  } else {
    applied.reset();
  }
  if (changed || !status) tell_applied(resource_version, status);
  return status;
}

// ---- changing the kernel -----------------------------------------------------------------------

// One transaction. When it was the only one since the kernel was last known to be right, it still
// is.
Status ServiceProxy::State::apply(const std::string& script) {
  const auto before = kernel.events->read();
  const bool was_right = before && verified && before->id == *verified;
  verified.reset();
  MOORED_CHECK(kernel.rules->apply(script));
  last_apply = now();
  const auto after = kernel.events->read();
  if (was_right && after && after->id == before->id + 1) verified = after->id;
  return {};
}

// At the start: what an earlier daemon programmed stays when it is exactly what is wanted.
Status ServiceProxy::State::take_over(const ServiceTable& wanted, bool& changed) {
  const auto script = render_rules(wanted, options.rules);
  const auto before = kernel.events->read();
  MOORED_TRY(const auto present, read_blocks());
  MOORED_TRY(const auto listing, kernel.rules->read_wanted(script, table()));
  const auto desired = split_listing(listing);
  changed = present != desired;
  if (!changed) {
    if (before) verified = before->id;
  } else {
    MOORED_CHECK(apply(script));
  }
  desired_blocks = desired;
  return {};
}

// Only what differs; when the kernel refuses that, it does not hold what was thought: everything.
Status ServiceProxy::State::program(const ServiceTable& wanted, bool& changed) {
  if (!applied) return take_over(wanted, changed);
  const auto script = render_change(*applied, wanted, options.rules);
  changed = !script.empty();
  if (!changed) return {};
  desired_blocks.reset();
  const auto status = apply(script);
  return status ? status : take_over(wanted, changed);
}

// After the rules have changed: before that, a forgotten flow would come back by the old
// ones.
void ServiceProxy::State::forget_flows(const ServiceTable& before, const ServiceTable& after) {
  if (!has_udp_change(before, after)) return;
  const auto forgotten =
      kernel.flows->forget([&](const Flow& flow) { return is_stale(flow, before, after); });
  // Without it old UDP flows end by their own time-out: late, not wrong for ever.
  if (!forgotten) {
    log(LogLevel::warning, "UDP clients may reach an old endpoint until their flow times out",
        {{"error", forgotten.error().text()}});
  }
}

// A failure is told once, however often it is tried again.
void ServiceProxy::State::tell_applied(std::int64_t resource_version, const Status& status) {
  ProxyApplied fact;
  fact.resource_version = resource_version;
  if (!status) fact.error = status.error();
  const auto text = status ? std::string() : status.error().text();
  if (!status && text == last_error) return;  // the same failure again
  last_error = text;
  facts.post(std::move(fact), kernel_cause("packet rules programmed"));
}

// ---- comparing with the kernel -----------------------------------------------------------------

// A missing table is nothing to fail about: it is the greatest difference there can be.
Result<Blocks> ServiceProxy::State::read_blocks() {
  const auto listing = kernel.rules->read_table(table());
  if (listing) return split_listing(*listing);
  if (listing.error().code == Code::not_found) return Blocks{};
  return Unexpected(listing.error());
}

// Listed by nft from a namespace of its own: only then do both sides have the same
// spelling.
Result<Blocks> ServiceProxy::State::read_desired_blocks() {
  if (!desired_blocks) {
    MOORED_TRY(const auto listing,
               kernel.rules->read_wanted(render_rules(*applied, options.rules), table()));
    desired_blocks = split_listing(listing);
  }
  return *desired_blocks;
}

// The generation is read before the listing: a change in between makes it look older, and
// it is compared again.
Status ServiceProxy::State::compare(const std::string& author) {
  if (!applied) return {};  // the next look takes everything over
  MOORED_TRY(const auto generation, kernel.events->read());
  if (verified && *verified == generation.id) return {};
  MOORED_TRY(const auto desired, read_desired_blocks());
  MOORED_TRY(const auto observed, read_blocks());
  auto faults = compare_blocks(desired, observed);
  const bool clean = faults.empty();
  const auto mode = drop_unwanted(faults);
  tell_over(faults);
  if (clean) verified = generation.id;
  if (faults.empty()) return {};
  const auto onset = clock.now().wall;
  if (mode == DriftMode::report) {
    tell_drift(faults, author, onset, {});
    return {};
  }
  const auto repaired = apply(render_rules(*applied, options.rules));
  if (repaired) tell_drift(faults, author, onset, "the table was loaded anew");
  return repaired;
}

// Leaves what somebody wants to know of. The table is loaded as a whole, so that one difference
// that is to be corrected corrects them all.
DriftMode ServiceProxy::State::drop_unwanted(std::vector<BlockFault>& faults) const {
  const auto view = state.view();
  auto strongest = DriftMode::off;
  const auto unwanted = [&](const BlockFault& fault) {
    const auto object = view->find(find_object(fault.block));
    const bool service = object && object->is<Service>();
    const auto mode = service ? get_drift_mode(object->meta().annotations, options.drift)
                              : options.drift;
    strongest = std::max(strongest, mode);
    return mode == DriftMode::off;
  };
  faults.erase(std::remove_if(faults.begin(), faults.end(), unwanted), faults.end());
  return strongest;
}

// Reported differences that are not there any more.
void ServiceProxy::State::tell_over(const std::vector<BlockFault>& faults) {
  for (auto it = open.begin(); it != open.end();) {
    const bool lasts = std::any_of(faults.begin(), faults.end(),
                                   [&](const auto& fault) { return fault.block == it->first; });
    if (lasts) {
      ++it;
      continue;
    }
    post(std::move(it->second), "none: it is over without our doing");
    it = open.erase(it);
  }
}

void ServiceProxy::State::post(DriftRecord record, const std::string& correction) {
  record.correction = correction;
  if (!correction.empty()) record.corrected_at = clock.now().wall;
  facts.post(DriftObserved{std::move(record)}, kernel_cause("packet rules differ"));
}

// What belongs to no single Service (maps, the frame) is told of the node.
ObjectKey ServiceProxy::State::find_object(const std::string& block) const {
  for (const auto& [key, port] : *applied) {
    if (block == "chain " + service_chain_name(key)) return port.owner;
  }
  return key_of<Node>({}, options.node_name);
}

void ServiceProxy::State::tell_drift(const std::vector<BlockFault>& faults,
                                     const std::string& author, Time onset,
                                     const std::string& correction) {
  const auto count = std::min(faults.size(), kMaxDriftPosts);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& fault = faults[i];
    DriftRecord record;
    record.id = "rule/" + table() + '/' + fault.block + '@' + format_micro_time(onset);
    record.object = find_object(fault.block);
    record.field = "rule";
    record.desired = escape_text(fault.block + ": " + fault.desired);
    record.observed = escape_text(fault.observed);
    record.actor = author;
    record.onset = onset;
    const auto known = open.find(fault.block);
    if (known != open.end() && correction.empty()) continue;  // told before
    if (known != open.end()) record = known->second;
    if (correction.empty()) {
      open[fault.block] = record;
    } else {
      open.erase(fault.block);
    }
    post(std::move(record), correction);
  }
}

// ---- the loop ----------------------------------------------------------------------------------

// While events are looked at no more often than kLookPause, they must not end the wait
// either.
void ServiceProxy::State::wait(std::chrono::milliseconds timeout, bool with_events) {
  pollfd waits[] = {{wake_fd.get(), POLLIN, 0}, {kernel.events->descriptor(), POLLIN, 0}};
  const auto bounded = std::clamp<std::int64_t>(timeout.count(), 0, 60'000);
  if (poll(waits, with_events ? 2 : 1, static_cast<int>(bounded)) < 0) return;
  eventfd_t ignored = 0;
  if (waits[0].revents != 0) eventfd_read(wake_fd.get(), &ignored);
}

void ServiceProxy::State::note_failure(const Status& status, const char* what) {
  if (status) {
    retry_pause = kFirstRetry;
    retry_at = now() + kNever;
    return;
  }
  retry_at = now() + retry_pause;
  log(LogLevel::error, what,
      {{"error", status.error().text()}, {"retry_in", format_duration(retry_pause)}});
  retry_pause = std::min(retry_pause * 2, kLastRetry);
}

ServiceProxy::ServiceProxy(ProxyOptions options, ProxyKernel kernel, const StateSource& state,
                           RevisionSignal& signal, FactSink& facts, const Clock& clock)
    : state_(std::make_unique<State>(std::move(options), std::move(kernel), state, signal, facts,
                                     clock)) {}
ServiceProxy::~ServiceProxy() = default;

Status ServiceProxy::step() {
  return state_->look(false);
}

Status ServiceProxy::sweep() {
  return state_->compare({});
}

Status ServiceProxy::remove_all() {
  auto& s = *state_;
  s.applied.reset();
  s.verified.reset();
  s.desired_blocks.reset();
  return s.kernel.rules->apply(render_removal(s.options.rules));
}

// How long the loop may sleep.
std::chrono::milliseconds ServiceProxy::State::get_pause() const {
  auto until = std::min(next_sweep, retry_at);
  if (gather_until) until = std::min(until, *gather_until);
  if (now() < next_event_look) until = std::min(until, next_event_look);
  return std::chrono::ceil<std::chrono::milliseconds>(until - now());
}

// The signal may be raised by anything; look() finds out cheaply whether it concerns
// Services.
void ServiceProxy::State::look_when_due() {
  if (!applied && now() < retry_at) return;
  const bool gathered = gather_until && now() >= *gather_until;
  note_failure(look(!gathered), "Services are not programmed");
}

// A foreign transaction, or time: compare. Our own transactions are events too, and known.
void ServiceProxy::State::compare_when_due() {
  std::string author;
  bool due = now() >= next_sweep;
  if (now() >= next_event_look) {
    const auto event = kernel.events->drain();
    if (event && *event && (!verified || (*event)->id != *verified)) {
      due = true;
      author = (*event)->author;
      next_event_look = now() + kLookPause;
    }
  }
  if (!due) return;
  next_sweep = now() + options.sweep;
  const auto status = compare(author);
  if (!status) note_failure(status, "Service rules could not be compared");
}

void ServiceProxy::run(std::stop_token stop) {
  auto& s = *state_;
  const int fd = s.wake_fd.get();
  const std::stop_callback wake_on_stop(stop, [fd] { eventfd_write(fd, 1); });
  const int token = s.signal.subscribe(
      [](void* context, std::int64_t) {
        eventfd_write(static_cast<State*>(context)->wake_fd.get(), 1);
      },
      &s);
  s.next_sweep = s.now() + s.options.sweep;
  s.next_event_look = s.now();
  s.retry_at = s.now();
  while (!stop.stop_requested()) {
    s.look_when_due();
    s.compare_when_due();
    s.wait(s.get_pause(), s.now() >= s.next_event_look);
  }
  s.signal.unsubscribe(token);
}

Result<ProxyKernel> open_proxy_kernel(std::string nft_program) {
  MOORED_TRY(auto events, make_rule_events());
  return ProxyKernel{make_packet_rules(std::move(nft_program)), std::make_unique<KernelFlowTable>(),
                     std::move(events)};
}

}  // namespace moored::net
