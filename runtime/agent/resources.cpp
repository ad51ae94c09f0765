#include "runtime/agent/resources.hpp"

#include <algorithm>
#include <vector>

namespace moored::agent {
namespace {

// The kubelet's values for oom_score_adj: -1000 would never be killed, 1000 always first.
constexpr int kGuaranteedScore = -997;
constexpr int kBestEffortScore = 1000;

// A sum that stops being known once one part has no limit.
struct LimitSum {
  std::int64_t total = 0;
  bool complete = true;

  void add(std::optional<std::int64_t> part) {
    if (part) {
      total += *part;
    } else {
      complete = false;
    }
  }
  std::optional<std::int64_t> value() const {
    return complete ? std::optional(total) : std::nullopt;
  }
};

// What containers that run at the same time need together.
struct Together {
  std::int64_t cpu_request = 0;
  LimitSum cpu;
  LimitSum memory;

  void add(const Container& container) {
    const CgroupLimits limits = make_container_limits(container);
    cpu_request += limits.cpu_request_milli;
    cpu.add(limits.cpu_limit_milli);
    memory.add(limits.memory_limit_bytes);
  }
};

// Needs are compared value by value: cpu may be largest in one step and memory in another.
LimitSum larger(const LimitSum& a, const LimitSum& b) {
  return {std::max(a.total, b.total), a.complete && b.complete};
}

Together larger(const Together& a, const Together& b) {
  return {std::max(a.cpu_request, b.cpu_request), larger(a.cpu, b.cpu),
          larger(a.memory, b.memory)};
}

// A zero quantity counts as none.
bool is_positive(const std::optional<Quantity>& quantity) {
  return quantity && quantity->milli() > 0;
}

// Which of the two resources a container names, and whether both are limited and fully requested.
struct Named {
  bool any = false;
  bool guaranteed = true;
};

// Looks at cpu and memory of one container.
Named look(const Container& container) {
  Named named;
  for (const char* name : {"cpu", "memory"}) {
    const auto limit = find_quantity(container.resources.limits, name);
    const auto request = find_request(container, name);
    named.any = named.any || is_positive(limit) || is_positive(request);
    const bool equal = is_positive(limit) && request && *request == *limit;
    named.guaranteed = named.guaranteed && equal;
  }
  return named;
}

}  // namespace

// Runs beside the containers instead of before them.
bool is_sidecar(const Container& init_container) {
  return init_container.restart_policy == "Always";
}

const Container* find_container(const PodSpec& spec, const std::string& name) {
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const auto& container : *list) {
      if (container.name == name) return &container;
    }
  }
  return nullptr;
}

bool is_init_container(const PodSpec& spec, const std::string& name) {
  return std::any_of(spec.init_containers.begin(), spec.init_containers.end(),
                     [&](const Container& container) { return container.name == name; });
}

std::optional<Quantity> find_quantity(const ResourceList& list, const std::string& name) {
  const auto found = list.find(name);
  return found == list.end() ? std::nullopt : std::optional(found->second);
}

// A limit without a request requests as much, as Kubernetes defaults it.
std::optional<Quantity> find_request(const Container& container, const std::string& name) {
  if (auto request = find_quantity(container.resources.requests, name)) return request;
  return find_quantity(container.resources.limits, name);
}

std::string get_qos_class(const PodSpec& spec) {
  bool any = false;
  bool guaranteed = true;
  const auto visit = [&](const std::vector<Container>& containers) {
    for (const auto& container : containers) {
      const Named named = look(container);
      any = any || named.any;
      guaranteed = guaranteed && named.guaranteed;
    }
  };
  visit(spec.init_containers);
  visit(spec.containers);
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

CgroupLimits make_container_limits(const Container& container) {
  CgroupLimits limits;
  if (const auto cpu = find_request(container, "cpu")) limits.cpu_request_milli = cpu->cpu().value;
  const auto cpu_limit = find_quantity(container.resources.limits, "cpu");
  if (is_positive(cpu_limit)) limits.cpu_limit_milli = cpu_limit->cpu().value;
  const auto memory = find_quantity(container.resources.limits, "memory");
  if (is_positive(memory)) limits.memory_limit_bytes = memory->bytes().value;
  return limits;
}

CgroupLimits make_pod_limits(const PodSpec& spec, std::int64_t pids) {
  // Init containers run one by one, each beside the sidecars that were started before it.
  Together sidecars;
  Together largest;
  for (const auto& container : spec.init_containers) {
    if (is_sidecar(container)) {
      sidecars.add(container);
      largest = larger(largest, sidecars);
    } else {
      Together step = sidecars;
      step.add(container);
      largest = larger(largest, step);
    }
  }
  Together at_end = sidecars;
  for (const auto& container : spec.containers) at_end.add(container);
  const Together all = larger(largest, at_end);
  return {all.cpu_request, all.cpu.value(), all.memory.value(), pids};
}

int get_oom_score(const PodSpec& spec, const Container& container, std::int64_t node_memory_bytes) {
  const bool critical = spec.priority_class_name == "system-node-critical";
  const std::string qos = get_qos_class(spec);
  if (critical || qos == "Guaranteed") return kGuaranteedScore;
  if (qos == "BestEffort") return kBestEffortScore;
  const auto request = find_request(container, "memory");
  const std::int64_t asked = request ? request->bytes().value : 0;
  // In thousandths of the node; a double keeps large products from overflowing.
  const double share = 1000.0 * static_cast<double>(asked) / static_cast<double>(node_memory_bytes);
  return std::clamp(1000 - static_cast<int>(std::min(share, 1000.0)), 3, 999);
}

}  // namespace moored::agent
