#include "net/api/logs.hpp"

#include <algorithm>
#include <utility>

#include "net/api/json_text.hpp"
#include "runtime/agent/log_reader.hpp"
#include "schema/model/pod.hpp"

namespace moored::net::api {
namespace {

constexpr std::string_view kDefaultContainer = "kubectl.kubernetes.io/default-container";

// What of which log is wanted.
struct LogRequest {
  std::string container;
  bool previous = false;
  LogQuery query;
};

// Seconds count back from now and are cut at 1970, so that a huge number cannot overflow.
Result<std::optional<Time>> parse_since(const Query& query, Time now) {
  MOORED_TRY(const auto seconds, query.integer("sinceSeconds", 1));
  const auto text = query.get("sinceTime");
  if (seconds && !text.empty()) {
    return fail(Code::invalid, "at most one of sinceTime and sinceSeconds may be given");
  }
  if (seconds) {
    const auto most = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
    return std::optional<Time>(now - std::min(std::chrono::seconds(*seconds), most));
  }
  if (text.empty()) return std::optional<Time>{};
  const auto time = parse_time(text);
  if (!time || *time < Time{}) {
    return fail(Code::invalid, "sinceTime must be a time such as 2026-01-02T03:04:05Z");
  }
  return time;
}

// The container asked for, or the only one, or the one that the annotation names.
Result<std::string> choose_container(const Pod& pod, const std::string& asked) {
  const auto& spec = pod.spec;
  const auto named = [&](const Container& c) { return c.name == asked; };
  if (!asked.empty()) {
    if (std::any_of(spec.containers.begin(), spec.containers.end(), named) ||
        std::any_of(spec.init_containers.begin(), spec.init_containers.end(), named)) {
      return asked;
    }
    return fail(Code::invalid, "container " + asked + " is not valid for pod " + pod.metadata.name);
  }
  if (spec.containers.size() == 1 && spec.init_containers.empty()) return spec.containers[0].name;
  const auto chosen = pod.metadata.annotations.find(std::string(kDefaultContainer));
  if (chosen != pod.metadata.annotations.end() && !chosen->second.empty()) {
    return choose_container(pod, chosen->second);
  }
  std::string names;
  for (const auto& c : spec.containers)
    names += (names.empty() ? "" : " ") + c.name;
  std::string message = "a container name must be specified for pod " + pod.metadata.name +
                        ", choose one of: [" + names + "]";
  names.clear();
  for (const auto& c : spec.init_containers)
    names += (names.empty() ? "" : " ") + c.name;
  if (!names.empty()) message += " or one of the init containers: [" + names + "]";
  return fail(Code::invalid, message);
}

// A tail of 0 lines is allowed and means only what comes; a limit of 0 bytes makes no
// sense.
Result<LogRequest> parse_log(const Query& query, Time now) {
  LogRequest request;
  request.previous = query.truth("previous");
  request.query.follow = query.truth("follow");
  request.query.timestamps = query.truth("timestamps");
  MOORED_TRY(request.query.tail_lines, query.integer("tailLines", 0));
  MOORED_TRY(request.query.limit_bytes, query.integer("limitBytes", 1));
  MOORED_TRY(request.query.since, parse_since(query, now));
  return request;
}

// Names are unique over both lists. Null: the agent has not reported on it yet.
const ContainerStatus* find_status(const Pod& pod, const std::string& container) {
  for (const auto* list : {&pod.status.container_statuses, &pod.status.init_container_statuses}) {
    for (const auto& status : *list) {
      if (status.name == container) return &status;
    }
  }
  return nullptr;
}

// The attempt whose log is meant. Errors: invalid, in the words kubectl's users know.
Result<int> choose_attempt(const Pod& pod, const LogRequest& request) {
  const auto* status = find_status(pod, request.container);
  if (status != nullptr) {
    if (const auto attempt = find_log_attempt(*status, request.previous)) return *attempt;
  }
  const auto container = quoted(request.container);
  const auto name = quoted(pod.metadata.name);
  if (request.previous) {
    return fail(Code::invalid,
                "previous terminated container " + container + " in pod " + name + " not found");
  }
  std::string reason = "ContainerCreating";
  if (status != nullptr && status->state.waiting && !status->state.waiting->reason.empty()) {
    reason = status->state.waiting->reason;
  }
  return fail(Code::invalid,
              "container " + container + " in pod " + name + " is waiting to start: " + reason);
}

// A log on its way to a client.
class LogStream final : public Stream {
 public:
  LogStream(LogReader reader, StreamPlace place)
      : reader_(std::move(reader)), place_(std::move(place)) {}

  // Makes the stream end when this attempt of the container is no longer the running one.
  void follow(const StateSource& state, ObjectKey pod, std::string uid, std::string container,
              int attempt) {
    state_ = &state;
    pod_ = std::move(pod);
    uid_ = std::move(uid);
    container_ = std::move(container);
    attempt_ = attempt;
  }

  bool pull(const Now& now, std::string& out) override {
    // Asked before reading, so that what was written before the end is still read.
    const bool ended = state_ != nullptr && has_ended();
    due_ = now.mono + kLogRecheck;
    if (ended) reader_.finish();
    while (out.size() < pull_bytes() && !reader_.at_end()) {
      const auto got = reader_.read_more(out);
      if (!got) return false;
      if (*got == 0) break;
    }
    return !reader_.at_end();
  }
  MonoTime next_due() const override { return due_; }
  int change_fd() const override { return reader_.change_fd(); }

 private:
  bool has_ended() const {
    const auto object = state_->view()->find(pod_);
    if (!object || object->meta().uid != uid_) return true;
    const auto* status = find_status(object->as<Pod>(), container_);
    if (status == nullptr) return false;
    return !status->state.running ||
           find_log_attempt(*status, false).value_or(attempt_) != attempt_;
  }

  LogReader reader_;
  StreamPlace place_;
  MonoTime due_{};
  const StateSource* state_ = nullptr;  // null: the log as it is now
  ObjectKey pod_;
  std::string uid_;
  std::string container_;
  int attempt_ = 0;
};

Response refuse_log(const Error& error, const Target& target) {
  auto failure = failure_of(error);
  failure.name = target.name;
  failure.resource = target.resource->plural;
  return refuse(failure);
}

}  // namespace

Response read_log(const Target& target, const Query& query, const ApiContext& context) {
  auto request = parse_log(query, context.clock.now().wall);
  if (!request) return refuse_log(request.error(), target);
  const auto object =
      context.state.view()->find({target.resource->stored, target.namespace_name, target.name});
  if (!object) return refuse(no_such_object(target));
  const auto& pod = object->as<Pod>();
  auto container = choose_container(pod, query.get("container"));
  if (!container) return refuse_log(container.error(), target);
  request->container = *std::move(container);
  const auto attempt = choose_attempt(pod, *request);
  if (!attempt) return refuse_log(attempt.error(), target);
  StreamPlace place(context.streams);
  if (!place)
    return refuse_log(Error{Code::exhausted, "too many streams are open", {}, {}, {}}, target);
  const auto directory =
      pod_log_directory(context.log_dir, pod.metadata) + "/" + request->container;
  auto reader = LogReader::open(directory, *attempt, request->query);
  if (!reader) return refuse_log(reader.error(), target);
  auto stream = std::make_unique<LogStream>(*std::move(reader), std::move(place));
  if (request->query.follow) {
    stream->follow(context.state, object->key(), pod.metadata.uid, request->container, *attempt);
  }
  Response response;
  response.content_type = "text/plain";
  response.stream = std::move(stream);
  return response;
}

}  // namespace moored::net::api
