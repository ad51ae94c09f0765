#include "runtime/agent/environment.hpp"

#include <algorithm>
#include <optional>

#include "runtime/agent/resources.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::agent {
namespace {

// The reason that kubectl shows while a container waits for a ConfigMap or Secret.
constexpr const char* kConfigError = "CreateContainerConfigError";

// NAME of labels['NAME'] or annotations['NAME'], or nothing.
std::optional<std::string> find_subscript(const std::string& path, std::string_view part) {
  const std::string start = "metadata." + std::string(part) + "['";
  if (path.rfind(start, 0) != 0 || path.size() < start.size() + 2) return std::nullopt;
  if (path.substr(path.size() - 2) != "']") return std::nullopt;
  return path.substr(start.size(), path.size() - start.size() - 2);
}

// Absent labels and annotations read as empty, as in Kubernetes.
std::string find_label(const Labels& labels, const std::string& name) {
  const auto found = labels.find(name);
  return found == labels.end() ? std::string() : found->second;
}

// key="value" lines, as the downward API writes whole maps.
std::string write_map(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    std::string quoted;
    for (const char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    text += (text.empty() ? "" : "\n") + key + "=\"" + quoted + "\"";
  }
  return text;
}

// The name of a Service as variables spell it.
std::string spell_variable(std::string_view name) {
  std::string spelt;
  for (const char c : name) {
    const bool lower = c >= 'a' && c <= 'z';
    spelt += c == '-' ? '_' : (lower ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return spelt;
}

// What Kubernetes takes as a variable name: letters, digits, and the three signs.
bool is_variable_name(const std::string& name) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
  };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && word(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return word(c) || digit(c); });
}

// Collects variables: a later definition replaces the value in place.
class EnvironmentBuilder {
 public:
  EnvironmentBuilder(const FieldContext& context, const Container& container,
                     const StateView& view)
      : context_(context), container_(container), view_(view) {}

  // Service links come first, so that anything may replace them.
  Status add_services() {
    if (!context_.pod.spec.enable_service_links.value_or(true)) return {};
    std::vector<Service> services;
    const std::string& name_space = context_.pod.metadata.namespace_name;
    for (const auto& object : view_.list(kind_of<Service>(), name_space)) {
      services.push_back(object.as<Service>());
    }
    for (auto& variable : make_service_variables(services)) {
      put(std::move(variable.name), std::move(variable.value));
    }
    return {};
  }

  // A whole ConfigMap or Secret.
  Status add_env_from(const EnvFromSource& source) {
    if (source.config_map_ref) {
      const auto& ref = *source.config_map_ref;
      const auto object = find<ConfigMap>(ref.name);
      if (!object && !ref.optional) return missing("configmap", ref.name);
      if (object) take(source.prefix, object->as<ConfigMap>().data);
    }
    if (source.secret_ref) {
      const auto& ref = *source.secret_ref;
      const auto object = find<Secret>(ref.name);
      if (!object && !ref.optional) return missing("secret", ref.name);
      if (object) take(source.prefix, object->as<Secret>().data);
    }
    return {};
  }

  // One variable; its text may refer to the ones before it.
  Status add_env(const EnvVar& variable) {
    if (!variable.value_from) {
      put(variable.name, expand(variable.value, values_));
      return {};
    }
    MOORED_TRY(auto value, read_source(*variable.value_from));
    if (value) put(variable.name, std::move(*value));
    return {};
  }

  // The variables in the order of their first definition.
  Environment finish() {
    Environment environment;
    for (const auto& name : order_) environment.variables.push_back({name, values_[name]});
    environment.invalid_names = std::move(invalid_);
    return environment;
  }

 private:
  template <class T>
  std::optional<Object> find(const std::string& name) const {
    return view_.find(key_of<T>(context_.pod.metadata.namespace_name, name));
  }

  // The words that kubectl describe shows while the container waits.
  static Unexpected missing(const std::string& kind, const std::string& name) {
    return Unexpected(fail(Code::not_found, kind + " \"" + name + "\" not found").take().because(
        kConfigError));
  }

  // Nothing: an optional reference that leads nowhere.
  Result<std::optional<std::string>> read_source(const EnvVarSource& source) const {
    using Value = std::optional<std::string>;
    if (source.field_ref) {
      MOORED_TRY(auto value, read_pod_field(context_, source.field_ref->field_path));
      return Value(std::move(value));
    }
    if (source.resource_field_ref) {
      MOORED_TRY(auto value,
                 read_resource_field(context_, container_.name, *source.resource_field_ref));
      return Value(std::move(value));
    }
    if (source.config_map_key_ref) {
      const auto& ref = *source.config_map_key_ref;
      const auto object = find<ConfigMap>(ref.name);
      if (!object) return absent("configmap", ref);
      return read_key(object->template as<ConfigMap>().data, "ConfigMap", ref);
    }
    if (source.secret_key_ref) {
      const auto& ref = *source.secret_key_ref;
      const auto object = find<Secret>(ref.name);
      if (!object) return absent("secret", ref);
      return read_key(object->template as<Secret>().data, "Secret", ref);
    }
    return Value();
  }

  // The object is missing: nothing when that is allowed.
  static Result<std::optional<std::string>> absent(const std::string& kind,
                                                   const KeySelector& ref) {
    if (ref.optional) return std::optional<std::string>();
    return missing(kind, ref.name);
  }

  // One key of an object that is there.
  Result<std::optional<std::string>> read_key(const std::map<std::string, std::string>& values,
                                              const std::string& kind,
                                              const KeySelector& ref) const {
    const auto found = values.find(ref.key);
    if (found != values.end()) return std::optional(found->second);
    if (ref.optional) return std::optional<std::string>();
    const std::string where = context_.pod.metadata.namespace_name + "/" + ref.name;
    return Unexpected(
        fail(Code::not_found, "couldn't find key " + ref.key + " in " + kind + " " + where)
            .take()
            .because(kConfigError));
  }

  // Takes every key that can be a variable and remembers the others for an event.
  void take(const std::string& prefix, const std::map<std::string, std::string>& values) {
    for (const auto& [key, value] : values) {
      if (is_variable_name(prefix + key)) {
        put(prefix + key, value);
      } else {
        invalid_.push_back(prefix + key);
      }
    }
  }

  // A later value replaces the earlier one and keeps its place.
  void put(std::string name, std::string value) {
    if (values_.find(name) == values_.end()) order_.push_back(name);
    values_[std::move(name)] = std::move(value);
  }

  const FieldContext& context_;
  const Container& container_;
  const StateView& view_;
  std::vector<std::string> order_;
  std::map<std::string, std::string> values_;
  std::vector<std::string> invalid_;
};

}  // namespace

std::string expand(std::string_view text, const std::map<std::string, std::string>& variables) {
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {  // an escaped dollar: what follows is literal
      out += '$';
      i += 2;
      continue;
    }
    const auto close = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += text[i++];
      continue;
    }
    const auto found = variables.find(std::string(text.substr(i + 2, close - i - 2)));
    out += found != variables.end() ? found->second : std::string(text.substr(i, close + 1 - i));
    i = close + 1;
  }
  return out;
}

Result<std::string> read_pod_field(const FieldContext& context, const std::string& path) {
  const Pod& pod = context.pod;
  if (path == "metadata.name") return pod.metadata.name;
  if (path == "metadata.namespace") return pod.metadata.namespace_name;
  if (path == "metadata.uid") return pod.metadata.uid;
  if (path == "metadata.labels") return write_map(pod.metadata.labels);
  if (path == "metadata.annotations") return write_map(pod.metadata.annotations);
  if (path == "spec.nodeName") return pod.spec.node_name;
  if (path == "spec.serviceAccountName") return pod.spec.service_account_name;
  if (path == "status.hostIP" || path == "status.hostIPs") return context.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return context.pod_ip;
  if (auto name = find_subscript(path, "labels")) return find_label(pod.metadata.labels, *name);
  if (auto name = find_subscript(path, "annotations")) {
    return find_label(pod.metadata.annotations, *name);
  }
  return Unexpected(fail(Code::invalid, "unsupported fieldPath: " + path)
                        .take()
                        .because("CreateContainerConfigError"));
}

Result<std::string> read_resource_field(const FieldContext& context, const std::string& container,
                                        const ResourceFieldSelector& selector) {
  const auto wrong = [](const std::string& what) {
    return Unexpected(fail(Code::invalid, what).take().because(kConfigError));
  };
  const std::string& name = selector.container_name.empty() ? container : selector.container_name;
  const Container* of = find_container(context.pod.spec, name);
  if (of == nullptr) return wrong("container " + name + " not found");
  const auto dot = selector.resource.find('.');
  const std::string list = selector.resource.substr(0, dot);
  const std::string what = dot == std::string::npos ? "" : selector.resource.substr(dot + 1);
  if ((list != "limits" && list != "requests") || (what != "cpu" && what != "memory")) {
    return wrong("unsupported container resource: " + selector.resource);
  }
  auto quantity = list == "limits" ? find_quantity(of->resources.limits, what)
                                   : find_request(*of, what);
  if (!quantity && list == "limits") {
    quantity = what == "cpu" ? Quantity::of(context.node_cpu) : Quantity::of(context.node_memory);
  }
  const std::int64_t milli = quantity ? quantity->milli() : 0;
  const bool plain = !selector.divisor || selector.divisor->milli() == 0;
  const std::int64_t divisor = plain ? 1000 : selector.divisor->milli();
  if (divisor < 0) return wrong("divisor of " + selector.resource + " is negative");
  return std::to_string(milli / divisor + (milli % divisor > 0 ? 1 : 0));
}

std::vector<Variable> make_service_variables(const std::vector<Service>& services) {
  std::vector<Variable> variables;
  for (const auto& service : services) {
    const std::string& ip = service.spec.cluster_ip;
    if (ip.empty() || ip == "None" || service.spec.ports.empty()) continue;
    const std::string name = spell_variable(service.metadata.name);
    const std::string first = std::to_string(service.spec.ports.front().port);
    variables.push_back({name + "_SERVICE_HOST", ip});
    variables.push_back({name + "_SERVICE_PORT", first});
    for (const auto& port : service.spec.ports) {
      if (port.name.empty()) continue;
      variables.push_back(
          {name + "_SERVICE_PORT_" + spell_variable(port.name), std::to_string(port.port)});
    }
    bool is_first = true;
    for (const auto& port : service.spec.ports) {
      std::string protocol = port.protocol.empty() ? "TCP" : port.protocol;
      std::string lower = protocol;
      for (char& c : lower) c = static_cast<char>(c - 'A' + 'a');
      const std::string number = std::to_string(port.port);
      const std::string url = lower + "://" + ip + ":" + number;
      const std::string prefix = name + "_PORT_" + number + "_" + protocol;
      if (is_first) variables.push_back({name + "_PORT", url});
      is_first = false;
      variables.push_back({prefix, url});
      variables.push_back({prefix + "_PROTO", lower});
      variables.push_back({prefix + "_PORT", number});
      variables.push_back({prefix + "_ADDR", ip});
    }
  }
  return variables;
}

std::map<std::string, std::string> Environment::by_name() const {
  std::map<std::string, std::string> values;
  for (const auto& variable : variables) values[variable.name] = variable.value;
  return values;
}

Result<Environment> make_environment(const FieldContext& context, const Container& container,
                                     const StateView& view) {
  EnvironmentBuilder builder(context, container, view);
  MOORED_CHECK(builder.add_services());
  for (const auto& source : container.env_from) MOORED_CHECK(builder.add_env_from(source));
  for (const auto& variable : container.env) MOORED_CHECK(builder.add_env(variable));
  return builder.finish();
}

}  // namespace moored::agent
