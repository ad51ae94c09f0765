#include "runtime/container/shims.hpp"

#include <csignal>
#include <thread>

#include "runtime/container/plan.hpp"
#include "runtime/container/shim_files.hpp"
#include "runtime/shim/order.hpp"

namespace moored::container {
namespace {

using shim::Record;
using std::chrono::milliseconds;

constexpr milliseconds kCreateTime{60'000};
constexpr milliseconds kEndTime{5'000};
constexpr milliseconds kKillTime{10'000};
// Between the end of a shim's socket and the end of its process.
constexpr milliseconds kDeathTime{2'000};

std::string last_part(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

Record container_request(const char* op, const std::string& name, int attempt) {
  Record request;
  request.set("op", op).set("name", name).set("attempt", attempt);
  return request;
}

// The exit code has a name of its own there, "code" being the answer's.
ContainerReport report_of(const Record& record) {
  auto state = shim::container_state_from(record);
  state.code = static_cast<int>(record.number_of("exitCode"));
  return to_report(state);
}

Result<std::vector<ContainerReport>> list_attempts(Connection& connection) {
  MOORED_TRY(const auto reply, connection.call(Record().set("op", "LIST"), kCallTime));
  std::vector<ContainerReport> reports;
  for (const auto& row : reply.rows) {
    if (row.text_of("name") != kPauseName) reports.push_back(report_of(row));
  }
  return reports;
}

Status end_attempt(Connection& connection, const std::string& name, int attempt) {
  auto kill = container_request("KILL", name, attempt);
  kill.set("signal", SIGKILL).set("all", true);
  const auto killed = connection.call(kill, kCallTime);
  if (!killed && killed.error().code == Code::not_found) return {};
  const auto deadline = std::chrono::steady_clock::now() + kKillTime;
  for (;;) {
    const auto acknowledged = connection.call(container_request("ACK", name, attempt), kCallTime);
    if (acknowledged || acknowledged.error().code != Code::conflict) break;
    if (std::chrono::steady_clock::now() >= deadline) return Unexpected(acknowledged.error());
    std::this_thread::sleep_for(milliseconds(2));
  }
  const auto deleted = connection.call(container_request("DELETE", name, attempt), kCallTime);
  if (!deleted && deleted.error().code != Code::not_found) return Unexpected(deleted.error());
  return {};
}

Shims::Shims(std::string pods, std::string instance, std::unique_ptr<ShimStarter> starter)
    : pods_(std::move(pods)), instance_(std::move(instance)), starter_(std::move(starter)) {}

Shims::~Shims() { stop(); }

Status Shims::listen(Heard heard, Lost lost) {
  heard_ = std::move(heard);
  lost_ = std::move(lost);
  MOORED_TRY(poller_, Poller::create([this](const auto& connection) { lose(connection); }));
  return {};
}

void Shims::abandon_probes() {
  connections_.with([](auto& connections) {
    for (auto& [uid, connection] : connections) connection->abandon();
  });
}

// The child is kept so that it can be reaped: nobody else in the daemon waits for it.
Status Shims::start_shim(const std::string& pod_directory) {
  const std::string uid = last_part(pod_directory);
  MOORED_TRY(const bool alive, is_shim_alive(pod_directory));
  if (alive) return connect(uid);
  MOORED_TRY(auto born, starter_->start(pod_directory));
  auto process = open_pidfd(born.child.pid);
  children_.with([&](auto& children) { children[uid] = std::move(born.child); });
  if (!process) return Unexpected(std::move(process).error());
  const auto connection = Connection::adopt(uid, std::move(born.line), *std::move(process));
  MOORED_CHECK(hear(connection));
  keep(connection);
  return {};
}

// A shim that does not want to go has containers that did not end: they die with the cgroup.
Status Shims::end_shim(const std::string& pod_directory) {
  const std::string uid = last_part(pod_directory);
  if (const auto connection = find(uid)) {
    connection->expect_end();
    const bool granted = connection->call(Record().set("op", "SHUTDOWN"), kCallTime).has_value();
    if (!granted) connection->kill_shim();
    connection->wait_end(kEndTime);
    poller_->remove(connection);
    connections_.with([&](auto& connections) { connections.erase(uid); });
  }
  auto child = children_.with([&](auto& children) {
    const auto found = children.find(uid);
    Child taken;
    if (found == children.end()) return taken;
    taken = std::move(found->second);
    children.erase(found);
    return taken;
  });
  if (child.pid <= 0) return {};  // an earlier daemon's child
  static_cast<void>(kill_group(child, SIGKILL));
  static_cast<void>(wait_child(child, kEndTime));
  return {};
}

Status Shims::create_container(const HostStep& step) {
  MOORED_TRY(const auto connection, require(uid_of_path(step.path)));
  auto request = container_request("CREATE", step.text, step.number);
  request.set("spec", step.path);
  const auto reply = connection->call(std::move(request), kCreateTime);
  if (!reply) return Unexpected(reply.error());
  return {};
}

Status Shims::delete_container(const HostStep& step) {
  const auto connection = find(uid_of_path(step.path));
  if (!connection) return {};  // a shim that is gone has nothing to delete
  return end_attempt(*connection, step.text, step.number);
}

// <pods>/<uid>/c/<name>/<attempt>/spec.json
std::string Shims::uid_of_path(const std::string& path) const {
  const std::size_t begin = pods_.size() + 1;
  return path.substr(begin, path.find('/', begin) - begin);
}

// Shared: a call under way keeps its connection while another one is made.
std::shared_ptr<Connection> Shims::find(const std::string& uid) {
  return connections_.with([&](auto& connections) -> std::shared_ptr<Connection> {
    const auto found = connections.find(uid);
    return found == connections.end() ? nullptr : found->second;
  });
}

Result<std::shared_ptr<Connection>> Shims::require(const std::string& uid) {
  auto connection = find(uid);
  if (!connection) {
    MOORED_TRY(const bool alive, is_shim_alive(pods_ + "/" + uid));
    if (alive) MOORED_CHECK(connect(uid));
    connection = find(uid);
  }
  if (!connection) return fail(Code::not_found, "pod " + uid + " has no shim");
  return connection;
}

Status Shims::connect(const std::string& uid) {
  MOORED_TRY(auto connection, Connection::create(uid, pods_ + "/" + uid));
  MOORED_CHECK(hear(connection));
  auto greeted = connection->greet(instance_);
  if (!greeted) {
    poller_->remove(connection);
    return greeted;
  }
  keep(connection);
  return {};
}

// What the shim tells unasked, from now on.
Status Shims::hear(const std::shared_ptr<Connection>& connection) {
  connection->set_event([this, uid = connection->uid()](const Record& record) {
    if (record.text_of("name") == kPauseName) return;
    SandboxEvent event;
    const bool memory = record.text_of("event") == "OOM";
    event.type = memory ? SandboxEvent::Type::oom : SandboxEvent::Type::exited;
    event.uid = uid;
    event.container = report_of(record);
    heard_(std::move(event));
  });
  return poller_->add(connection);
}

void Shims::keep(const std::shared_ptr<Connection>& connection) {
  connections_.with([&](auto& connections) { connections[connection->uid()] = connection; });
}

// A connection may end because the shim is gone, or because it cut off one that did not read: that
// one is made anew when it is needed.
void Shims::lose(const std::shared_ptr<Connection>& connection) {
  const std::string& uid = connection->uid();
  connections_.with([&](auto& connections) {
    const auto found = connections.find(uid);
    if (found != connections.end() && found->second == connection) connections.erase(found);
  });
  if (connection->is_end_expected() || !connection->has_ended(kDeathTime)) return;
  lost_(uid);
}

}  // namespace moored::container
