// Pod Security Standards, rule by rule, over every list of containers.
#include "schema/model/apps.hpp"
#include "schema/validate/pod_security.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using Level = AdmissionPolicy::Level;
using testing::decode_good;
using testing::pod_yaml;

// Fields that a level forbids in a pod whose spec is given.
std::vector<std::string> forbidden(const std::string& spec, Level level) {
  const auto object = decode_good(pod_yaml(spec));
  const auto& pod = object.as<Pod>();
  std::vector<std::string> fields;
  for (const auto& error : check_pod_security(pod.spec, pod.metadata, level, "spec")) {
    CHECK(error.reason == "Forbidden");
    CHECK(error.code == Code::denied);
    CHECK_FALSE(error.fix.empty());
    CHECK(error.message.find(level_name(level)) != std::string::npos);
    fields.push_back(error.place.field);
  }
  return fields;
}

using Fields = std::vector<std::string>;
const std::string kOne = "containers: [{name: c, image: a:1}]\n";
const std::string kContext = "spec.containers[0].securityContext.";

std::string with_context(const std::string& context) {
  return "containers: [{name: c, image: a:1, securityContext: " + context + "}]\n";
}

struct Row {
  std::string spec;
  Fields fields;
};

TEST_CASE("baseline forbids what reaches the node") {
  const auto row = GENERATE(values<Row>({
      {kOne, {}},
      {kOne + "hostNetwork: true", {"spec.hostNetwork"}},
      {kOne + "hostPID: true", {"spec.hostPID"}},
      {kOne + "hostIPC: true", {"spec.hostIPC"}},
      {kOne + "hostNetwork: false\nhostPID: false\nhostIPC: false", {}},
      {kOne + "volumes: [{name: a, emptyDir: {}}, {name: b, hostPath: {path: /etc}}]",
       {"spec.volumes[1].hostPath"}},
      {kOne + "securityContext: {seccompProfile: {type: Unconfined}}",
       {"spec.securityContext.seccompProfile.type"}},
      {kOne + "securityContext: {seccompProfile: {type: RuntimeDefault}}", {}},
      {kOne + "securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: \"1\"}, "
              "{name: kernel.msgmax, value: \"1\"}]}",
       {"spec.securityContext.sysctls[1].name"}},
      {kOne + "securityContext: {sysctls: [{name: net/ipv4/tcp_syncookies, value: \"1\"}]}", {}},
      {kOne + "securityContext: {runAsUser: 0, runAsNonRoot: false}", {}},
      {with_context("{privileged: true}"), {kContext + "privileged"}},
      {with_context("{privileged: false}"), {}},
      {with_context("{procMount: Unmasked}"), {kContext + "procMount"}},
      {with_context("{procMount: Default}"), {}},
      {with_context("{seccompProfile: {type: Unconfined}}"), {kContext + "seccompProfile.type"}},
      {with_context("{capabilities: {add: [CHOWN, NET_RAW]}}"),
       {kContext + "capabilities.add[1]"}},
      {with_context("{capabilities: {add: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, "
                    "KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, "
                    "SYS_CHROOT]}}"),
       {}},
      {with_context("{capabilities: {drop: [ALL]}}"), {}},
      {with_context("{allowPrivilegeEscalation: true}"), {}},
      {"containers: [{name: c, image: a:1, ports: [{containerPort: 80}, {containerPort: 81, "
       "hostPort: 81}]}]",
       {"spec.containers[0].ports[1].hostPort"}},
  }));
  INFO(row.spec);
  CHECK(forbidden(row.spec, Level::baseline) == row.fields);
  CHECK(forbidden(row.spec, Level::privileged).empty());
}

TEST_CASE("a capability is recognised in every spelling") {
  for (const std::string word : {"SYS_ADMIN", "CAP_SYS_ADMIN", "sys_admin", "cap_sys_admin",
                                 "ALL", "all"}) {
    INFO(word);
    CHECK(forbidden(with_context("{capabilities: {add: [" + word + "]}}"), Level::baseline) ==
          Fields{kContext + "capabilities.add[0]"});
  }
}

TEST_CASE("every list of containers is judged") {
  const std::string bad = "securityContext: {privileged: true}";
  CHECK(forbidden("containers: [{name: a, image: a:1, " + bad + "}, {name: b, image: a:1, " + bad +
                      "}]\ninitContainers: [{name: i, image: a:1, " + bad +
                      "}, {name: s, image: a:1, restartPolicy: Always, " + bad + "}]",
                  Level::baseline) ==
        Fields{"spec.initContainers[0].securityContext.privileged",
               "spec.initContainers[1].securityContext.privileged",
               "spec.containers[0].securityContext.privileged",
               "spec.containers[1].securityContext.privileged"});
}

TEST_CASE("mounts that reach the node are forbidden should they ever be carried out") {
  PodSpec spec;
  spec.containers.resize(1);
  spec.containers[0].volume_mounts.resize(2);
  spec.containers[0].volume_mounts[1].mount_propagation = "Bidirectional";
  const auto errors = check_pod_security(spec, {}, Level::baseline, "spec");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].place.field == "spec.containers[0].volumeMounts[1].mountPropagation");
}

TEST_CASE("a profile switched off by annotation is forbidden at the metadata") {
  ObjectMeta meta;
  meta.annotations["container.apparmor.security.beta.kubernetes.io/c"] = "unconfined";
  PodSpec spec;
  spec.containers.resize(1);
  const auto errors = check_pod_security(spec, meta, Level::baseline, "spec.template.spec");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].place.field ==
        "spec.template.metadata.annotations[\"container.apparmor.security.beta.kubernetes.io/c\"]");
  meta.annotations.begin()->second = "runtime/default";
  CHECK(check_pod_security(spec, meta, Level::baseline, "spec").empty());
}

const std::string kGood =
    "{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, "
    "seccompProfile: {type: RuntimeDefault}}";

TEST_CASE("restricted wants every setting, and lists all that are missing") {
  CHECK(forbidden(with_context(kGood), Level::restricted).empty());
  CHECK(forbidden(kOne, Level::restricted) ==
        Fields{kContext + "allowPrivilegeEscalation", kContext + "runAsNonRoot",
               kContext + "seccompProfile", kContext + "capabilities.drop"});
}

TEST_CASE("restricted judges the effective value of pod and container") {
  const std::string own = "{allowPrivilegeEscalation: false, capabilities: {drop: [all]}";
  const auto spec = [&](const std::string& pod, const std::string& rest) {
    return "securityContext: " + pod + "\ncontainers: [{name: c, image: a:1, securityContext: " +
           own + rest + "}}]\n";
  };
  const std::string pod = "{runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}";
  CHECK(forbidden(spec(pod, ""), Level::restricted).empty());
  CHECK(forbidden(spec(pod, ", runAsNonRoot: false"), Level::restricted) ==
        Fields{kContext + "runAsNonRoot"});
  CHECK(forbidden(spec(pod, ", runAsUser: 0"), Level::restricted) ==
        Fields{kContext + "runAsUser"});
  CHECK(forbidden(spec(pod, ", seccompProfile: {type: Unconfined}"), Level::restricted) ==
        Fields{kContext + "seccompProfile.type"});
  CHECK(forbidden(spec("{runAsNonRoot: false, seccompProfile: {type: RuntimeDefault}}", ""),
                  Level::restricted) == Fields{"spec.securityContext.runAsNonRoot"});
  CHECK(forbidden(spec("{runAsNonRoot: false, seccompProfile: {type: RuntimeDefault}}",
                       ", runAsNonRoot: true"),
                  Level::restricted) == Fields{"spec.securityContext.runAsNonRoot"});
  CHECK(forbidden(spec("{runAsUser: 0, runAsNonRoot: true, "
                       "seccompProfile: {type: RuntimeDefault}}", ", runAsUser: 7"),
                  Level::restricted) == Fields{"spec.securityContext.runAsUser"});
}

TEST_CASE("a floor raises levels and lowers none") {
  AdmissionPolicy policy;
  policy.namespace_levels = {{"edge", Level::privileged}, {"shop", Level::restricted}};
  const auto baseline = tighten(policy, Level::baseline);
  CHECK(baseline.default_level == Level::baseline);
  CHECK(baseline.namespace_levels.at("edge") == Level::baseline);
  CHECK(baseline.namespace_levels.at("shop") == Level::restricted);
  const auto restricted = tighten(policy, Level::restricted);
  CHECK(restricted.default_level == Level::restricted);
  CHECK(restricted.namespace_levels.at("edge") == Level::restricted);
  const auto same = tighten(policy, Level::privileged);
  CHECK(same.default_level == Level::baseline);
  CHECK(same.namespace_levels == policy.namespace_levels);
}

TEST_CASE("restricted allows one capability more") {
  const auto add = [](const std::string& word) {
    return forbidden(with_context("{allowPrivilegeEscalation: false, runAsNonRoot: true, "
                                  "capabilities: {drop: [ALL], add: [" + word +
                                  "]}, seccompProfile: {type: RuntimeDefault}}"),
                     Level::restricted);
  };
  CHECK(add("NET_BIND_SERVICE").empty());
  CHECK(add("CHOWN") == Fields{kContext + "capabilities.add[0]"});
}

}  // namespace
}  // namespace moored
