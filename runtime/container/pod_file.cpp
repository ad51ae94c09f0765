// pod.json and limits.json: flat records, so that the shim's codec serves them too.
#include "runtime/container/plan.hpp"
#include "runtime/shim/record.hpp"

namespace moored::container {
namespace {

using shim::Record;

// As text: 0 is a limit and must not be left out as an empty number would be.
void put_limit(Record& record, const char* name, const std::optional<std::int64_t>& value) {
  if (value) record.set(name, std::to_string(*value));
}

std::optional<std::int64_t> take_limit(const Record& record, const char* name) {
  const auto& text = record.text_of(name);
  if (text.empty()) return std::nullopt;
  return std::strtoll(text.c_str(), nullptr, 10);
}

void put_limits(Record& record, const CgroupLimits& limits) {
  record.set("cpuRequestMilli", limits.cpu_request_milli);
  put_limit(record, "cpuLimitMilli", limits.cpu_limit_milli);
  put_limit(record, "memoryLimitBytes", limits.memory_limit_bytes);
  put_limit(record, "pidsLimit", limits.pids_limit);
}

CgroupLimits take_limits(const Record& record) {
  CgroupLimits limits;
  limits.cpu_request_milli = record.number_of("cpuRequestMilli");
  limits.cpu_limit_milli = take_limit(record, "cpuLimitMilli");
  limits.memory_limit_bytes = take_limit(record, "memoryLimitBytes");
  limits.pids_limit = take_limit(record, "pidsLimit");
  return limits;
}

}  // namespace

std::string format_limits(const CgroupLimits& limits) {
  Record record;
  put_limits(record, limits);
  return record.text() + "\n";
}

Result<CgroupLimits> parse_limits(const std::string& text) {
  MOORED_TRY(const auto lines, shim::parse_lines(text));
  if (lines.size() != 1) return fail(Code::corrupt, "limits are one line");
  return take_limits(lines[0]);
}

// Everything that a later daemon needs if the store is lost, the Pod object included.
std::string format_pod(const PodSandboxSpec& spec, const std::string& net_namespace) {
  Record record;
  record.set("uid", spec.uid).set("namespace", spec.namespace_name).set("name", spec.name);
  record.set("resourceVersion", spec.resource_version).set("ownerUids", spec.owner_uids);
  record.set("hostname", spec.hostname).set("qosClass", spec.qos_class);
  record.set("logDirectory", spec.log_directory).set("netNamespace", net_namespace);
  record.set("hostNetwork", spec.host_network).set("hostIpc", spec.host_ipc);
  record.set("hostPid", spec.host_pid).set("shareProcessNamespace", spec.share_process_namespace);
  std::vector<std::string> sysctls;
  for (const auto& entry : spec.sysctls)
    sysctls.push_back(entry.first + "=" + entry.second);
  record.set("sysctls", sysctls);
  put_limits(record, spec.limits);
  record.set("pod", spec.pod_json);
  return record.text() + "\n";
}

// A uid that could not be part of a path is taken as damage.
Result<PodRecord> parse_pod(const std::string& text) {
  MOORED_TRY(const auto lines, shim::parse_lines(text));
  if (lines.size() != 1) return fail(Code::corrupt, "pod.json is one line");
  const Record& record = lines[0];
  PodRecord pod;
  PodSandboxSpec& spec = pod.spec;
  spec.uid = record.text_of("uid");
  spec.namespace_name = record.text_of("namespace");
  spec.name = record.text_of("name");
  spec.resource_version = record.number_of("resourceVersion");
  spec.owner_uids = record.list_of("ownerUids");
  spec.hostname = record.text_of("hostname");
  spec.qos_class = record.text_of("qosClass");
  spec.log_directory = record.text_of("logDirectory");
  spec.host_network = record.flag_of("hostNetwork");
  spec.host_ipc = record.flag_of("hostIpc");
  spec.host_pid = record.flag_of("hostPid");
  spec.share_process_namespace = record.flag_of("shareProcessNamespace");
  for (const auto& entry : record.list_of("sysctls")) {
    const auto equals = entry.find('=');
    if (equals != std::string::npos)
      spec.sysctls[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  spec.limits = take_limits(record);
  spec.pod_json = record.text_of("pod");
  pod.net_namespace = record.text_of("netNamespace");
  if (!is_path_word(spec.uid)) return fail(Code::corrupt, "pod.json without a uid");
  return pod;
}

}  // namespace moored::container
