#include "net/api/scale.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "net/api/resources.hpp"

namespace moored::net::api {
namespace {

const Value* find_path(const Value* node, std::initializer_list<std::string_view> path) {
  for (const auto name : path)
    node = node != nullptr ? node->find(name) : nullptr;
  return node;
}

Value copy_or(const Value* node, Value otherwise) {
  return node != nullptr ? *node : otherwise;
}

std::string join_values(const Value* values) {
  std::string out;
  if (values == nullptr) return out;
  for (const auto& value : values->items)
    out += (out.empty() ? "" : ",") + value.scalar;
  return out;
}

std::string requirement_text(const Value& requirement) {
  const auto text = [&](std::string_view name) {
    const auto* node = requirement.find(name);
    return node != nullptr ? node->scalar : std::string{};
  };
  const auto key = text("key");
  const auto operation = text("operator");
  const auto values = join_values(requirement.find("values"));
  if (operation == "In") return key + " in (" + values + ")";
  if (operation == "NotIn") return key + " notin (" + values + ")";
  return operation == "DoesNotExist" ? "!" + key : key;
}

// k=v pairs by key, then the expressions. A ReplicationController's selector is the map itself.
std::string selector_text(const Value* selector) {
  if (selector == nullptr) return {};
  std::vector<std::string> parts;
  const auto* labels = selector->find("matchLabels");
  const auto* expressions = selector->find("matchExpressions");
  if (labels == nullptr && expressions == nullptr) labels = selector;
  if (labels != nullptr) {
    for (const auto& [key, value] : labels->members) {
      parts.push_back(key.scalar + "=" + value.scalar);
    }
  }
  std::sort(parts.begin(), parts.end());
  if (expressions != nullptr) {
    for (const auto& item : expressions->items)
      parts.push_back(requirement_text(item));
  }
  std::string out;
  for (const auto& part : parts)
    out += (out.empty() ? "" : ",") + part;
  return out;
}

}  // namespace

Value scale_of(const Value& workload) {
  Value metadata = Value::make_map();
  for (const auto name : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    const auto* node = find_path(&workload, {"metadata", name});
    if (node != nullptr) metadata.put(name, *node);
  }
  Value spec = Value::make_map();
  spec.put("replicas", copy_or(find_path(&workload, {"spec", "replicas"}), Value::of_integer(1)));
  Value status = Value::make_map();
  status.put("replicas",
             copy_or(find_path(&workload, {"status", "replicas"}), Value::of_integer(0)));
  const auto selector = selector_text(find_path(&workload, {"spec", "selector"}));
  if (!selector.empty()) status.put("selector", Value::of_text(selector));
  Value scale = Value::make_map();
  scale.put("kind", Value::of_text(std::string(kScaleKind)));
  scale.put("apiVersion", Value::of_text(std::string(kScaleApiVersion)));
  scale.put("metadata", std::move(metadata));
  scale.put("spec", std::move(spec));
  scale.put("status", std::move(status));
  return scale;
}

}  // namespace moored::net::api
