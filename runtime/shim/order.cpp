#include "runtime/shim/order.hpp"

namespace moored::shim {

std::string to_text(const PodOrder& order) {
  Record record;
  record.set("v", kProtocol).set("uid", order.uid).set("directory", order.directory);
  record.set("namespaces", order.namespaces).set("newNamespaces", order.new_namespaces);
  record.set("hostname", order.hostname);
  return record.text() + "\n";
}

Result<PodOrder> pod_order_from(const std::string& text) {
  MOORED_TRY(const auto lines, parse_lines(text));
  if (lines.size() != 1) return fail(Code::corrupt, "a pod's order is one line");
  const Record& record = lines[0];
  PodOrder order{record.text_of("uid"), record.text_of("directory"), record.list_of("namespaces"),
                 record.list_of("newNamespaces"), record.text_of("hostname")};
  if (order.uid.empty() || order.directory.empty()) {
    return fail(Code::corrupt, "a pod's order names uid and directory");
  }
  return order;
}

std::string to_text(const ContainerOrder& order) {
  Record head;
  head.set("v", kProtocol).set("name", order.name).set("attempt", order.attempt);
  head.set("id", order.id).set("directory", order.directory);
  head.set("pidNamespace", order.pid_namespace).set("cgroup", order.cgroup);
  head.set("tasksFiles", order.tasks_files).set("oomFile", order.oom_file);
  head.set("logPath", order.log_path).set("terminationPath", order.termination_path);
  head.set("oomScoreAdjust", order.oom_score_adjust);
  head.set("uid", static_cast<std::int64_t>(order.uid));
  head.set("gid", static_cast<std::int64_t>(order.gid));
  head.set("tty", order.tty).set("stdin", order.stdin_open);
  std::vector<Record> lines{head};
  for (const auto& step : order.steps)
    lines.push_back(to_record(step));
  return join_lines(lines);
}

// A version that is newer than this build could mean more than it says here.
Result<ContainerOrder> container_order_from(const std::string& text) {
  MOORED_TRY(const auto lines, parse_lines(text));
  if (lines.size() < 2) return fail(Code::corrupt, "an order is a head and its steps");
  const Record& head = lines[0];
  if (head.number_of("v") > kProtocol)
    return fail(Code::corrupt, "the order is of a later version");
  ContainerOrder order;
  order.name = head.text_of("name");
  order.attempt = static_cast<int>(head.number_of("attempt"));
  order.id = head.text_of("id");
  order.directory = head.text_of("directory");
  order.pid_namespace = head.text_of("pidNamespace");
  order.cgroup = head.text_of("cgroup");
  order.tasks_files = head.list_of("tasksFiles");
  order.oom_file = head.text_of("oomFile");
  order.log_path = head.text_of("logPath");
  order.termination_path = head.text_of("terminationPath");
  order.oom_score_adjust = static_cast<int>(head.number_of("oomScoreAdjust"));
  order.uid = static_cast<std::uint32_t>(head.number_of("uid"));
  order.gid = static_cast<std::uint32_t>(head.number_of("gid"));
  order.tty = head.flag_of("tty");
  order.stdin_open = head.flag_of("stdin");
  if (order.name.empty() || order.directory.empty()) {
    return fail(Code::corrupt, "an order names its container and directory");
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    MOORED_TRY(auto step, step_from(lines[i]));
    order.steps.push_back(std::move(step));
  }
  return order;
}

// Unknown to an older reader is harmless: it reads what it knows.
Record to_record(const ContainerState& state) {
  Record record;
  record.set("name", state.name).set("attempt", state.attempt).set("containerId", state.id);
  record.set("phase", state.phase).set("pid", static_cast<std::int64_t>(state.pid));
  record.set("startTime", static_cast<std::int64_t>(state.start_time));
  record.set("createdAt", state.created_micros).set("startedAt", state.started_micros);
  record.set("finishedAt", state.finished_micros);
  record.set("code", state.code).set("signal", state.signal).set("oomKilled", state.oom_killed);
  record.set("acknowledged", state.acknowledged).set("startError", state.start_error);
  record.set("message", state.message);
  return record;
}

ContainerState container_state_from(const Record& record) {
  ContainerState state;
  state.name = record.text_of("name");
  state.attempt = static_cast<int>(record.number_of("attempt"));
  state.id = record.text_of("containerId");
  state.phase = record.text_of("phase");
  state.pid = static_cast<std::int32_t>(record.number_of("pid"));
  state.start_time = static_cast<std::uint64_t>(record.number_of("startTime"));
  state.created_micros = record.number_of("createdAt");
  state.started_micros = record.number_of("startedAt");
  state.finished_micros = record.number_of("finishedAt");
  state.code = static_cast<int>(record.number_of("code"));
  state.signal = static_cast<int>(record.number_of("signal"));
  state.oom_killed = record.flag_of("oomKilled");
  state.acknowledged = record.flag_of("acknowledged");
  state.start_error = record.text_of("startError");
  state.message = record.text_of("message");
  return state;
}

}  // namespace moored::shim
