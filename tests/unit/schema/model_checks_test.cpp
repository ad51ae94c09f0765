// What the rows refuse: each line a manifest, the field that is wrong and the reason word.
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

using testing::container_yaml;
using testing::errors_of;
using testing::pod_yaml;
using testing::read_manifest;

// A manifest fragment and the errors, as "field reason".
struct Row {
  std::string fragment;
  std::vector<std::string> errors;
};

const std::string kC = "spec.containers[0].";

TEST_CASE("containers are checked field by field") {
  const auto row = GENERATE(values<Row>({
      {"ports: [{containerPort: 70000}]", {kC + "ports[0].containerPort InvalidValue"}},
      {"ports: [{containerPort: 80, protocol: HTTP}]", {kC + "ports[0].protocol InvalidValue"}},
      {"ports: [{containerPort: 80, name: Web}]", {kC + "ports[0].name InvalidValue"}},
      {"ports: [{containerPort: 80, hostIP: here}]", {kC + "ports[0].hostIP InvalidValue"}},
      {"ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]",
       {kC + "ports[1].name InvalidValue"}},
      {"ports: [{name: a}]", {kC + "ports[0].containerPort InvalidValue"}},
      {"env: [{name: A=B}]", {kC + "env[0].name InvalidValue"}},
      {"env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
       {kC + "env[0].valueFrom InvalidValue"}},
      {"env: [{name: A, valueFrom: {}}]", {kC + "env[0].valueFrom InvalidValue"}},
      {"env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nothing}}}]",
       {kC + "env[0].valueFrom.fieldRef.fieldPath InvalidValue"}},
      {"env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]",
       {kC + "env[0].valueFrom.resourceFieldRef.resource InvalidValue"}},
      {"env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: ../x}}}]",
       {kC + "env[0].valueFrom.secretKeyRef.key InvalidName"}},
      {"env: [{name: A, valueFrom: {configMapKeyRef: {name: B_b, key: x}}}]",
       {kC + "env[0].valueFrom.configMapKeyRef.name InvalidName"}},
      {"envFrom: [{prefix: A_}]", {kC + "envFrom[0] InvalidValue"}},
      {"envFrom: [{configMapRef: {name: a}, secretRef: {name: b}}]",
       {kC + "envFrom[0] InvalidValue"}},
      {"resources: {limits: {cpu: -1}}", {kC + "resources.limits.cpu InvalidValue"}},
      {"resources: {limits: {nvidia.com/gpu: 1}}",
       {kC + "resources.limits[\"nvidia.com/gpu\"] InvalidValue"}},
      {"resources: {requests: {nvidia.com/gpu: 1}}",
       {kC + "resources.requests[\"nvidia.com/gpu\"] InvalidValue"}},
      {"resources: {limits: {ephemeral-storage: 1Gi}}",
       {kC + "resources.limits.ephemeral-storage InvalidValue"}},
      {"resources: {limits: {cpu: 1}, requests: {cpu: 2}}",
       {kC + "resources.requests.cpu InvalidValue"}},
      {"livenessProbe: {}", {kC + "livenessProbe InvalidValue"}},
      {"livenessProbe: {periodSeconds: 1}", {kC + "livenessProbe InvalidValue"}},
      {"livenessProbe: {exec: {command: [a]}, grpc: {port: 1}}",
       {kC + "livenessProbe InvalidValue"}},
      {"livenessProbe: {exec: {command: [a]}, timeoutSeconds: -1}",
       {kC + "livenessProbe.timeoutSeconds InvalidValue"}},
      {"livenessProbe: {exec: {command: [a]}, successThreshold: 2}",
       {kC + "livenessProbe.successThreshold InvalidValue"}},
      {"livenessProbe: {httpGet: {port: web}}",
       {kC + "livenessProbe.httpGet.port InvalidValue"}},
      {"livenessProbe: {httpGet: {port: 80, host: 169.254.169.254}}",
       {kC + "livenessProbe.httpGet.host InvalidValue"}},
      {"livenessProbe: {httpGet: {port: 80, scheme: FTP}}",
       {kC + "livenessProbe.httpGet.scheme InvalidValue"}},
      {"livenessProbe: {httpGet: {port: 80, path: \"/a b\"}}",
       {kC + "livenessProbe.httpGet.path InvalidValue"}},
      {"livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: \"a:b\", value: \"x\\ny\"}]}}",
       {kC + "livenessProbe.httpGet.httpHeaders[0].name InvalidValue",
        kC + "livenessProbe.httpGet.httpHeaders[0].value InvalidValue"}},
      {"readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 1}",
       {kC + "readinessProbe.terminationGracePeriodSeconds InvalidValue"}},
      {"lifecycle: {preStop: {}}", {kC + "lifecycle.preStop InvalidValue"}},
      {"lifecycle: {stopSignal: SIGUSR1}", {kC + "lifecycle.stopSignal UnknownField"}},
      {"imagePullPolicy: Sometimes", {kC + "imagePullPolicy InvalidValue"}},
      {"workingDir: ../a", {kC + "workingDir InvalidValue"}},
      {"terminationMessagePath: log", {kC + "terminationMessagePath InvalidValue"}},
      {"restartPolicy: Always", {kC + "restartPolicy InvalidValue"}},
      {"volumeMounts: [{name: v, mountPath: /a}]", {kC + "volumeMounts[0].name InvalidValue"}},
      {"volumeDevices: []", {kC + "volumeDevices UnknownField"}},
      {"securityContext: {runAsUser: -1}", {kC + "securityContext.runAsUser InvalidValue"}},
      {"securityContext: {procMount: Open}", {kC + "securityContext.procMount InvalidValue"}},
      {"securityContext: {capabilities: {add: [FLY]}}",
       {kC + "securityContext.capabilities.add[0] InvalidValue"}},
      {"securityContext: {seccompProfile: {type: Localhost, localhostProfile: ../../x}}",
       {kC + "securityContext.seccompProfile.type InvalidValue",
        kC + "securityContext.seccompProfile.localhostProfile InvalidValue"}},
      {"securityContext: {privileged: true, allowPrivilegeEscalation: false}",
       {kC + "securityContext.allowPrivilegeEscalation InvalidValue"}},
      {"securityContext: {seLinuxOptions: {}}",
       {kC + "securityContext.seLinuxOptions UnknownField"}},
  }));
  INFO(row.fragment);
  CHECK(errors_of(container_yaml(row.fragment)) == row.errors);
}

const std::string kOne = "containers: [{name: c, image: a:1}]\n";

TEST_CASE("pods are checked across their parts") {
  const auto row = GENERATE(values<Row>({
      {"containers: []", {"spec.containers InvalidValue"}},
      {"containers: [{name: c}]", {"spec.containers[0].image InvalidValue"}},
      {"containers: [{image: a}]", {"spec.containers[0].name InvalidValue"}},
      {"containers: [{name: C, image: a}]", {"spec.containers[0].name InvalidName"}},
      {"containers: [{name: c, image: A}]", {"spec.containers[0].image ReferenceInvalid"}},
      {"containers: [{name: c, image: a}, {name: c, image: a}]",
       {"spec.containers[1].name InvalidValue"}},
      {kOne + "initContainers: [{name: c, image: a}]", {"spec.containers[0].name InvalidValue"}},
      {kOne + "initContainers: [{name: i, image: a, livenessProbe: {grpc: {port: 1}}}]",
       {"spec.initContainers[0].livenessProbe InvalidValue"}},
      {kOne + "initContainers: [{name: i, image: a, restartPolicy: Never}]",
       {"spec.initContainers[0].restartPolicy InvalidValue"}},
      {kOne + "volumes: [{name: v}, {name: v}]", {"spec.volumes[1].name InvalidValue"}},
      {kOne + "volumes: [{name: v, emptyDir: {}, secret: {secretName: s}}]",
       {"spec.volumes[0] InvalidValue"}},
      {kOne + "volumes: [{name: v, emptyDir: {medium: Tape}}]",
       {"spec.volumes[0].emptyDir.medium InvalidValue"}},
      {kOne + "volumes: [{name: v, emptyDir: {sizeLimit: -1}}]",
       {"spec.volumes[0].emptyDir.sizeLimit InvalidValue"}},
      {kOne + "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]", {}},
      {kOne + "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi, medium: Memory}}]", {}},
      {kOne + "volumes: [{name: v, hostPath: {path: a}}]",
       {"spec.volumes[0].hostPath.path InvalidValue"}},
      {kOne + "volumes: [{name: v, hostPath: {path: /a, type: Pipe}}]",
       {"spec.volumes[0].hostPath.type InvalidValue"}},
      {kOne + "volumes: [{name: v, configMap: {name: a, defaultMode: 1000}}]",
       {"spec.volumes[0].configMap.defaultMode InvalidValue"}},
      {kOne + "volumes: [{name: v, secret: {secretName: a, items: [{key: k, path: ../x}]}}]",
       {"spec.volumes[0].secret.items[0].path InvalidValue"}},
      {kOne + "volumes: [{name: v, secret: {secretName: a, items: [{key: k, path: ..x}]}}]",
       {"spec.volumes[0].secret.items[0].path InvalidValue"}},
      {kOne + "volumes: [{name: v, downwardAPI: {items: [{path: p}]}}]",
       {"spec.volumes[0].downwardAPI.items[0] InvalidValue"}},
      {kOne + "volumes: [{name: v, downwardAPI: {items: [{path: p, resourceFieldRef: "
              "{resource: limits.cpu}}]}}]",
       {"spec.volumes[0].downwardAPI.items[0].resourceFieldRef.containerName InvalidValue"}},
      {kOne + "volumes: [{name: v, projected: {sources: [{}]}}]",
       {"spec.volumes[0].projected.sources[0] InvalidValue"}},
      {kOne + "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
       {"spec.volumes[0].persistentVolumeClaim UnknownField"}},
      {kOne + "volumes: [{name: v, nfs: {server: s, path: /}}]",
       {"spec.volumes[0].nfs UnknownField"}},
      {kOne + "restartPolicy: Often", {"spec.restartPolicy InvalidValue"}},
      {kOne + "dnsPolicy: None", {"spec.dnsConfig InvalidValue"}},
      {kOne + "dnsConfig: {nameservers: [a]}", {"spec.dnsConfig.nameservers[0] InvalidValue"}},
      {kOne + "dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}",
       {"spec.dnsConfig.nameservers InvalidValue"}},
      {kOne + "terminationGracePeriodSeconds: -1",
       {"spec.terminationGracePeriodSeconds InvalidValue"}},
      {kOne + "hostPID: true\nshareProcessNamespace: true",
       {"spec.shareProcessNamespace InvalidValue"}},
      {kOne + "serviceAccount: a\nserviceAccountName: b", {"spec.serviceAccount InvalidValue"}},
      {kOne + "affinity: {}", {"spec.affinity UnknownField"}},
      {kOne + "topologySpreadConstraints: []", {"spec.topologySpreadConstraints UnknownField"}},
      {kOne + "schedulerName: mine", {"spec.schedulerName InvalidValue"}},
      {kOne + "nodeSelector: {\"a b\": c}", {"spec.nodeSelector[\"a b\"] InvalidValue"}},
      {kOne + "tolerations: [{operator: Exists, value: x}]",
       {"spec.tolerations[0].value InvalidValue"}},
      {kOne + "tolerations: [{value: x}]", {"spec.tolerations[0].operator InvalidValue"}},
      {kOne + "securityContext: {supplementalGroups: [1, -1]}",
       {"spec.securityContext.supplementalGroups[1] InvalidValue"}},
      {kOne + "securityContext: {sysctls: [{name: \"../x\", value: \"1\"}]}",
       {"spec.securityContext.sysctls[0].name InvalidValue"}},
      {kOne + "hostAliases: [{ip: x, hostnames: [a_b]}]",
       {"spec.hostAliases[0].ip InvalidValue", "spec.hostAliases[0].hostnames[0] InvalidName"}},
      {kOne + "imagePullSecrets: [{name: A}]", {"spec.imagePullSecrets[0].name InvalidName"}},
  }));
  INFO(row.fragment);
  CHECK(errors_of(pod_yaml(row.fragment)) == row.errors);
}

TEST_CASE("two containers cannot take one port of the node") {
  const std::string port = "ports: [{containerPort: 80, hostPort: 80}]";
  CHECK(errors_of(pod_yaml("containers: [{name: a, image: a, " + port + "}, {name: b, image: a, " +
                           port + "}]")) ==
        std::vector<std::string>{"spec.containers[1].ports[0].hostPort InvalidValue"});
}

TEST_CASE("mounts are judged by path and by one another") {
  const auto mounts = [](const std::string& list) {
    return errors_of(pod_yaml("volumes: [{name: v}]\ncontainers: [{name: c, image: a, "
                              "volumeMounts: [" + list + "]}]"));
  };
  CHECK(mounts("{name: v, mountPath: /a, subPath: b, readOnly: true}").empty());
  CHECK(mounts("{name: v, mountPath: /proc}") ==
        std::vector<std::string>{kC + "volumeMounts[0].mountPath InvalidValue"});
  CHECK(mounts("{name: v, mountPath: /a, subPath: ../b}") ==
        std::vector<std::string>{kC + "volumeMounts[0].subPath InvalidValue"});
  CHECK(mounts("{name: v, mountPath: /a, subPath: /b}") ==
        std::vector<std::string>{kC + "volumeMounts[0].subPath InvalidValue"});
  CHECK(mounts("{name: v, mountPath: /a, subPath: b, subPathExpr: b}") ==
        std::vector<std::string>{kC + "volumeMounts[0].subPathExpr InvalidValue"});
  CHECK(mounts("{name: v, mountPath: /a}, {name: v, mountPath: /a}") ==
        std::vector<std::string>{kC + "volumeMounts[1].mountPath InvalidValue"});
  CHECK(mounts("{name: v, mountPath: /a, mountPropagation: Both}") ==
        std::vector<std::string>{kC + "volumeMounts[0].mountPropagation InvalidValue"});
}

TEST_CASE("metadata is checked for every kind") {
  const auto meta = [](const std::string& text) {
    return errors_of("apiVersion: v1\nkind: ConfigMap\nmetadata: " + text + "\n");
  };
  CHECK(meta("{name: a, labels: {a: b}, annotations: {Any.Thing/x: \"{}\"}}").empty());
  CHECK(meta("{}") == std::vector<std::string>{"metadata.name InvalidValue"});
  CHECK(meta("{name: ../../etc}") == std::vector<std::string>{"metadata.name InvalidName"});
  CHECK(meta("{name: a, namespace: ../kube-system}") ==
        std::vector<std::string>{"metadata.namespace InvalidName"});
  CHECK(meta("{generateName: a-}").front() == "metadata.generateName Forbidden");
  CHECK(meta("{name: a, ownerReferences: []}") ==
        std::vector<std::string>{"metadata.ownerReferences Forbidden"});
  CHECK(meta("{name: a, finalizers: [x]}") ==
        std::vector<std::string>{"metadata.finalizers Forbidden"});
  CHECK(meta("{name: a, labels: {app: \"a b\"}}") ==
        std::vector<std::string>{"metadata.labels.app InvalidValue"});
  CHECK(meta("{name: a, annotations: {x: \"" + std::string(300'000, 'x') + "\"}}") ==
        std::vector<std::string>{"metadata.annotations LimitExceeded"});
}

TEST_CASE("fields without effect are kept, and told with a warning") {
  std::optional<Object> object;
  const auto diagnostics = read_manifest(
      pod_yaml(kOne + "priorityClassName: high"), &object);
  REQUIRE(object);
  REQUIRE(diagnostics.warning_count() == 1);
  CHECK(diagnostics.warnings()[0].place.field == "spec.priorityClassName");
  CHECK(diagnostics.warnings()[0].place.line > 0);
  CHECK(diagnostics.warnings()[0].reason == "NoEffect");
  CHECK(encode_json(*object).find("\"priorityClassName\":\"high\"") != std::string::npos);
}

TEST_CASE("fields that only moored writes are dropped with a warning") {
  std::optional<Object> object;
  const auto diagnostics = read_manifest(
      "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  uid: x\n  resourceVersion: \"9\"\n"
      "  generation: 7\n  creationTimestamp: null\n  deletionTimestamp: 2001-01-01T00:00:00Z\n"
      "  managedFields: [{manager: kubectl}]\n  selfLink: /a\nspec: {finalizers: [kubernetes]}\n"
      "status: {phase: Active}\n",
      &object);
  REQUIRE(object);
  CHECK(diagnostics.error_count() == 0);
  CHECK(diagnostics.warning_count() >= 8);
  CHECK(object->meta().uid.empty());
  CHECK(object->meta().generation == 0);
  CHECK_FALSE(object->meta().deletion_timestamp);
}

std::string workload(const std::string& kind, const std::string& spec) {
  return "apiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: w}\nspec:\n" + spec;
}
const std::string kTemplate =
    "  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: a}]}}\n";
const std::string kSelector = "  selector: {matchLabels: {app: a}}\n";

TEST_CASE("selectors must match their template") {
  for (const std::string kind : {"Deployment", "ReplicaSet"}) {
    INFO(kind);
    CHECK(errors_of(workload(kind, kSelector + kTemplate)).empty());
    CHECK(errors_of(workload(kind, kTemplate)) ==
          std::vector<std::string>{"spec.selector InvalidValue"});
    CHECK(errors_of(workload(kind, "  selector: {}\n" + kTemplate)) ==
          std::vector<std::string>{"spec.selector InvalidValue"});
    CHECK(errors_of(workload(kind, "  selector: {matchLabels: {app: b}}\n" + kTemplate)) ==
          std::vector<std::string>{"spec.selector InvalidValue"});
    CHECK(errors_of(workload(kind, "  selector: {matchExpressions: [{key: app, operator: In}]}\n" +
                                       kTemplate)).front() ==
          "spec.selector.matchExpressions[0].values InvalidValue");
    CHECK(errors_of(workload(kind, "  selector: {matchExpressions: [{key: app, operator: Is}]}\n" +
                                       kTemplate)).front() ==
          "spec.selector.matchExpressions[0].operator InvalidValue");
    CHECK(errors_of(workload(kind, "  replicas: -1\n" + kSelector + kTemplate)) ==
          std::vector<std::string>{"spec.replicas InvalidValue"});
  }
}

TEST_CASE("a template's pods must be restarted") {
  CHECK(errors_of(workload("Deployment", kSelector +
                               "  template: {metadata: {labels: {app: a}}, spec: {restartPolicy: "
                               "Never, containers: [{name: c, image: a}]}}\n")) ==
        std::vector<std::string>{"spec.template.spec.restartPolicy InvalidValue"});
}

TEST_CASE("a roll-out must be able to move") {
  const auto rollout = [](const std::string& rest) {
    return errors_of(workload("Deployment", kSelector + kTemplate + rest));
  };
  CHECK(rollout("  strategy: {type: Sometimes}\n") ==
        std::vector<std::string>{"spec.strategy.type InvalidValue"});
  CHECK(rollout("  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}\n") ==
        std::vector<std::string>{"spec.strategy.rollingUpdate.maxUnavailable InvalidValue"});
  CHECK(rollout("  strategy: {rollingUpdate: {maxSurge: 200%}}\n") ==
        std::vector<std::string>{"spec.strategy.rollingUpdate.maxSurge InvalidValue"});
  CHECK(rollout("  strategy: {type: Recreate, rollingUpdate: {}}\n") ==
        std::vector<std::string>{"spec.strategy.rollingUpdate InvalidValue"});
  CHECK(rollout("  minReadySeconds: 600\n") ==
        std::vector<std::string>{"spec.progressDeadlineSeconds InvalidValue"});
}

std::string service(const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: " + spec + "\n";
}

TEST_CASE("Services are checked") {
  const auto row = GENERATE(values<Row>({
      {"{ports: [{port: 80}]}", {}},
      {"{clusterIP: None, selector: {a: b}}", {}},
      {"{selector: {a: b}}", {"spec.ports InvalidValue"}},
      {"{type: NodePort, ports: [{port: 80}]}", {"spec.type InvalidValue"}},
      {"{type: LoadBalancer, ports: [{port: 80}]}", {"spec.type InvalidValue"}},
      {"{type: Odd, ports: [{port: 80}]}", {"spec.type InvalidValue"}},
      {"{externalName: localhost, ports: [{port: 80}]}", {"spec.externalName UnknownField"}},
      {"{externalIPs: [8.8.8.8], ports: [{port: 80}]}", {"spec.externalIPs Forbidden"}},
      {"{clusterIP: 127.0.0.1, ports: [{port: 80}]}", {"spec.clusterIP InvalidValue",
                                                       "spec.clusterIPs[0] InvalidValue"}},
      {"{clusterIPs: [10.0.0.1, 10.0.0.2], ports: [{port: 80}]}",
       {"spec.clusterIPs InvalidValue"}},
      {"{ports: [{port: 80, nodePort: 30080}]}", {"spec.ports[0].nodePort InvalidValue"}},
      {"{ports: [{port: 0}]}", {"spec.ports[0].port InvalidValue"}},
      {"{ports: [{port: 80, targetPort: 0}]}", {}},
      {"{ports: [{port: 80, targetPort: 70000}]}", {"spec.ports[0].targetPort InvalidValue"}},
      {"{ports: [{port: 80}, {port: 81}]}",
       {"spec.ports[0].name InvalidValue", "spec.ports[1].name InvalidValue"}},
      {"{ports: [{name: a, port: 80}, {name: a, port: 81}]}", {"spec.ports[1].name InvalidValue"}},
      {"{ports: [{name: a, port: 80}, {name: b, port: 80}]}", {"spec.ports[1].port InvalidValue"}},
      {"{ports: [{name: a, port: 80}, {name: b, port: 80, protocol: UDP}]}", {}},
      {"{sessionAffinity: Cookie, ports: [{port: 80}]}", {"spec.sessionAffinity InvalidValue"}},
      {"{ipFamilies: [IPv6], ports: [{port: 80}]}", {"spec.ipFamilies[0] InvalidValue"}},
  }));
  INFO(row.fragment);
  CHECK(errors_of(service(row.fragment)) == row.errors);
}

TEST_CASE("names fit the grammar of their kind") {
  CHECK(errors_of("apiVersion: v1\nkind: Service\nmetadata: {name: 1web}\n"
                  "spec: {ports: [{port: 1}]}\n") ==
        std::vector<std::string>{"metadata.name InvalidName"});
  CHECK(errors_of("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n") ==
        std::vector<std::string>{"metadata.name InvalidName"});
  CHECK(errors_of("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a.b}\n").empty());
}

TEST_CASE("keys and sizes of ConfigMaps and Secrets") {
  const auto map = [](const std::string& rest) {
    return errors_of("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n" + rest + "\n");
  };
  CHECK(map("data: {\"../../etc/cron.d/x\": a}") ==
        std::vector<std::string>{"data[\"../../etc/cron.d/x\"] InvalidName"});
  CHECK(map("data: {\"..data\": a}") == std::vector<std::string>{"data[\"..data\"] InvalidName"});
  CHECK(map("binaryData: {a/b: aGk=}") ==
        std::vector<std::string>{"binaryData[\"a/b\"] InvalidName"});
  CHECK(map("data: {a: b}\nbinaryData: {a: aGk=}") ==
        std::vector<std::string>{"binaryData.a InvalidValue"});
  CHECK(map("data: {a: \"" + std::string(1U << 20U, 'x') + "\"}") ==
        std::vector<std::string>{"data LimitExceeded"});
  CHECK(map("data: {\"..\": a, a/b: c, good: d}") ==
        std::vector<std::string>{"data[\"..\"] InvalidName", "data[\"a/b\"] InvalidName"});
  CHECK(errors_of("apiVersion: v1\nkind: Secret\nmetadata: {name: m}\nstringData: {../x: a}\n") ==
        std::vector<std::string>{"stringData[\"../x\"] InvalidName"});
  const auto secret = read_manifest(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: m}\ndata: {password: CANARY-93f1!}\n");
  REQUIRE(secret.error_count() == 1);
  CHECK(secret.errors()[0].place.field == "data.password");
  CHECK(secret.errors()[0].text().find("CANARY") == std::string::npos);
}

TEST_CASE("endpoints do not lead to the node") {
  const auto endpoints = [](const std::string& ip) {
    return errors_of("apiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\n"
                     "subsets: [{addresses: [{ip: \"" + ip + "\"}], ports: [{port: 5432}]}]\n");
  };
  CHECK(endpoints("10.1.2.3").empty());
  for (const auto* ip : {"127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "db"}) {
    INFO(ip);
    CHECK(endpoints(ip) == std::vector<std::string>{"subsets[0].addresses[0].ip InvalidValue"});
  }
  CHECK(errors_of("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: db}\n"
                  "addressType: IPv6\nendpoints: [{addresses: [127.0.0.1]}]\n") ==
        std::vector<std::string>{"addressType InvalidValue",
                                 "endpoints[0].addresses[0] InvalidValue"});
}

TEST_CASE("sources and units are checked") {
  const auto source = [](const std::string& spec) {
    return errors_of("apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
                     "metadata: {name: a}\nspec: " + spec + "\n");
  };
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, ref: {branch: main}}").empty());
  CHECK(source("{url: \"ext::sh -c id\", interval: 1m}") ==
        std::vector<std::string>{"spec.url URLNotAllowed"});
  CHECK(source("{url: \"ftp://x/y\", interval: 0s}") ==
        std::vector<std::string>{"spec.url URLNotAllowed", "spec.interval InvalidValue"});
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, ref: {branch: \"-x\"}}").empty());
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, ref: {branch: \"a..b\"}}") ==
        std::vector<std::string>{"spec.ref.branch InvalidValue"});
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, ref: {name: main}}") ==
        std::vector<std::string>{"spec.ref.name InvalidValue"});
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, ref: {commit: abc}}") ==
        std::vector<std::string>{"spec.ref.commit InvalidValue"});
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, secretRef: {name: s}}").empty());
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, secretRef: {name: ../s}}") ==
        std::vector<std::string>{"spec.secretRef.name InvalidName"});
  CHECK(source("{url: \"git@git.test:a/b.git\", interval: 1m, proxySecretRef: {}}") ==
        std::vector<std::string>{"spec.proxySecretRef.name InvalidValue"});
  CHECK(source("{url: \"https://git.test/a\", interval: 1m, provider: azure}") ==
        std::vector<std::string>{"spec.provider UnknownField"});
  const auto unit = [](const std::string& rest) {
    return errors_of("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
                     "metadata: {name: a, namespace: team}\nspec:\n  interval: 1m\n" + rest + "\n");
  };
  CHECK(unit("  sourceRef: {kind: GitRepository, name: a}\n  path: ./deploy").empty());
  CHECK(unit("  sourceRef: {kind: Bucket, name: a}") ==
        std::vector<std::string>{"spec.sourceRef.kind InvalidValue"});
  CHECK(unit("  sourceRef: {kind: GitRepository, name: a, namespace: other}") ==
        std::vector<std::string>{"spec.sourceRef.namespace InvalidValue"});
  CHECK(unit("  sourceRef: {kind: GitRepository, name: a}\n  path: ../x") ==
        std::vector<std::string>{"spec.path InvalidValue"});
  CHECK(unit("  path: a") == std::vector<std::string>{"spec.sourceRef InvalidValue"});
}

TEST_CASE("kinds that only moored writes are refused") {
  for (const auto* text : {"apiVersion: v1\nkind: Node\n", "apiVersion: v1\nkind: Event\n",
                           "apiVersion: coordination.k8s.io/v1\nkind: Lease\n"}) {
    CHECK(errors_of(std::string(text) + "metadata: {name: a}\n") ==
          std::vector<std::string>{"kind Forbidden"});
  }
}

}  // namespace
}  // namespace moored
