#include "net/api/usage.hpp"

#include <algorithm>

#include "net/api/cpu_rates.hpp"
#include "net/api/failure.hpp"
#include "schema/codec/text.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/pod.hpp"
#include "schema/ports/usage.hpp"

namespace moored::net::api {
namespace {

constexpr std::string_view kNodeKey = "node";
constexpr double kNanocores = 1e9;
constexpr std::int64_t kKibibyte = 1024;

// One line of the answer before it is written: what it measures, and for how long at least.
struct Measured {
  Value usage = Value::make_map();
  Duration window{};
};

// Quantities as metrics-server writes them, which people's scripts expect.
std::optional<Measured> measure(CpuRates& rates, const std::string& key, const Result<Usage>& read,
                                MonoTime now) {
  if (!read) return std::nullopt;
  const auto rate = rates.take(key, read->cpu, now);
  if (!rate) return std::nullopt;
  Measured measured;
  const auto nanocores = static_cast<std::int64_t>(rate->cores * kNanocores);
  measured.usage.put("cpu", Value::of_text(std::to_string(nanocores) + "n"));
  measured.usage.put("memory",
                     Value::of_text(std::to_string(read->memory_bytes / kKibibyte) + "Ki"));
  measured.window = rate->window;
  return measured;
}

Value metadata_of(const ObjectMeta& meta) {
  Value out = Value::make_map();
  out.put("name", Value::of_text(meta.name));
  if (!meta.namespace_name.empty()) out.put("namespace", Value::of_text(meta.namespace_name));
  if (meta.creation_timestamp) {
    out.put("creationTimestamp", Value::of_text(format_time(*meta.creation_timestamp)));
  }
  Value labels = Value::make_map();
  for (const auto& [key, value] : meta.labels)
    labels.put(key, Value::of_text(value));
  if (!labels.members.empty()) out.put("labels", std::move(labels));
  return out;
}

Value row_of(const Target& target, const ObjectMeta& meta, Duration window, const Now& now) {
  Value row = Value::make_map();
  row.put("kind", Value::of_text(std::string(target.resource->kind)));
  row.put("apiVersion", Value::of_text(target.resource->api_version()));
  row.put("metadata", metadata_of(meta));
  row.put("timestamp", Value::of_text(format_time(now.wall)));
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(window);
  row.put("window", Value::of_text(format_duration(whole)));
  return row;
}

// A pod is shown when all its running containers could be measured; nothing: not yet.
std::optional<Value> measure_pod(const Target& target, const Pod& pod, const ApiContext& context,
                                 const Now& now) {
  Value containers = Value::make_list();
  Duration window{};
  bool complete = true;
  for (const auto& status : pod.status.container_statuses) {
    if (!status.state.running) continue;
    // The id is that of one attempt: a restart begins a new counter.
    const auto one = measure(*context.rates, status.container_id,
                             context.usage->read_usage(pod.metadata.uid, status.name), now.mono);
    if (!one) {
      complete = false;
      continue;
    }
    Value container = Value::make_map();
    container.put("name", Value::of_text(status.name));
    container.put("usage", one->usage);
    containers.items.push_back(std::move(container));
    window = std::max(window, one->window);
  }
  if (!complete || containers.items.empty()) return std::nullopt;
  Value row = row_of(target, pod.metadata, window, now);
  row.put("containers", std::move(containers));
  return row;
}

std::optional<Value> measure_node(const Target& target, const Node& node, const ApiContext& context,
                                  const Now& now) {
  const auto one =
      measure(*context.rates, std::string(kNodeKey), context.usage->read_node_usage(), now.mono);
  if (!one) return std::nullopt;
  Value row = row_of(target, node.metadata, one->window, now);
  row.put("usage", one->usage);
  return row;
}

bool is_running(const Object& object) {
  return !object.is<Pod>() || object.as<Pod>().status.phase == "Running";
}

// The objects that are asked for; what does not run uses nothing.
std::vector<Object> choose_objects(const Target& target, const Selection& selection,
                                   const StateView& view) {
  const auto& kind = target.resource->namespaced ? kind_of<Pod>() : kind_of<Node>();
  std::vector<Object> chosen;
  for (auto& object : view.list(kind, target.namespace_name)) {
    const bool named = target.name.empty() || object.meta().name == target.name;
    if (named && is_running(object) && selection.matches_labels(object.meta().labels)) {
      chosen.push_back(std::move(object));
    }
  }
  return chosen;
}

// The answer's body. It is asked for again a little later when a rate has no start yet; what still
// has none then is left out, because it has just gone.
class UsageStream final : public Stream {
 public:
  UsageStream(Target target, std::vector<Object> objects, const ApiContext& context, Now now)
      : target_(std::move(target)), objects_(std::move(objects)), context_(context) {
    body_ = make_body(now);
    due_ = now.mono + (complete_ ? Duration::zero() : CpuRates::kLeast);
  }

  bool pull(const Now& now, std::string& out) override {
    if (now.mono < due_) return true;
    if (!complete_) body_ = make_body(now);
    out += body_;
    return false;
  }
  MonoTime next_due() const override { return due_; }
  bool complete() const { return complete_; }
  const std::string& body() const { return body_; }

 private:
  std::string make_body(const Now& now) {
    complete_ = true;
    std::vector<Value> rows;
    for (const auto& object : objects_) {
      auto row = object.is<Pod>() ? measure_pod(target_, object.as<Pod>(), context_, now)
                                  : measure_node(target_, object.as<Node>(), context_, now);
      complete_ = complete_ && row.has_value();
      if (row) rows.push_back(*std::move(row));
    }
    if (!target_.name.empty() && !rows.empty()) return write_json(rows.front());
    Value list = Value::make_map();
    list.put("kind", Value::of_text(std::string(target_.resource->kind) + "List"));
    list.put("apiVersion", Value::of_text(target_.resource->api_version()));
    list.put("metadata", Value::make_map());
    list.put("items", Value::make_list()).items = std::move(rows);
    return write_json(list);
  }

  Target target_;
  std::vector<Object> objects_;
  const ApiContext& context_;
  std::string body_;
  bool complete_ = false;
  MonoTime due_{};
};

}  // namespace

Response read_usage(const Target& target, const Query& query, const ApiContext& context) {
  if (context.usage == nullptr || context.rates == nullptr) {
    Failure failure;
    failure.code = 503;
    failure.reason = "ServiceUnavailable";
    failure.message = "nothing is measured here";
    return refuse(failure);
  }
  auto labels = parse_label_selector(query.get("labelSelector"));
  if (!labels) return refuse(failure_of(labels.error()));
  const Selection selection{*std::move(labels), {}};
  const auto now = context.clock.now();
  context.rates->forget_old(now.mono);
  auto objects = choose_objects(target, selection, *context.state.view());
  if (!target.name.empty() && objects.empty()) return refuse(no_such_object(target));
  auto stream = std::make_unique<UsageStream>(target, std::move(objects), context, now);
  if (stream->complete()) return make_json(stream->body());
  Response response;
  response.content_type = "application/json";
  response.stream = std::move(stream);
  return response;
}

}  // namespace moored::net::api
