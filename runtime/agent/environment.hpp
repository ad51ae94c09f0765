// The environment of a container: service links, envFrom, env, $(NAME), fieldRef. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.hpp"
#include "schema/model/core.hpp"
#include "schema/model/pod.hpp"

namespace moored {
class StateView;
}

namespace moored::agent {

// One variable; the order of definition decides what $(NAME) can refer to.
struct Variable {
  std::string name;
  std::string value;
  bool operator==(const Variable&) const = default;
};

// What a container's fields are resolved against.
struct FieldContext {
  const Pod& pod;
  std::string pod_ip;
  std::string host_ip;
  MilliCpu node_cpu;      // allocatable, for limits that are not set
  Bytes node_memory;      // allocatable
};

// Replaces $(NAME) by earlier variables; $$ becomes $, an unknown name stays as it is written.
std::string expand(std::string_view text, const std::map<std::string, std::string>& variables);

// The value of a fieldRef path. Errors: invalid (a path that no container can see).
Result<std::string> read_pod_field(const FieldContext& context, const std::string& path);

// The value of a resourceFieldRef, rounded up to the divisor. container is the default one.
// Errors: invalid (unknown container or resource, divisor 0).
Result<std::string> read_resource_field(const FieldContext& context, const std::string& container,
                                        const ResourceFieldSelector& selector);

// Variables of the Services of a namespace: NAME_SERVICE_HOST, NAME_PORT_80_TCP_ADDR, …
// A Service without a cluster IP gives none.
std::vector<Variable> make_service_variables(const std::vector<Service>& services);

// What became of a container's environment.
struct Environment {
  std::vector<Variable> variables;         // each name once, in order of first definition
  std::vector<std::string> invalid_names;  // keys of envFrom that were skipped
  std::map<std::string, std::string> by_name() const;
};

// Builds the whole environment that the pod asks for (without the image's).
// Errors: not_found with reason CreateContainerConfigError (a ConfigMap, Secret or key is missing).
Result<Environment> make_environment(const FieldContext& context, const Container& container,
                                     const StateView& view);

}  // namespace moored::agent
