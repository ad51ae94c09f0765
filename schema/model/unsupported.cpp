#include "schema/model/unsupported.hpp"

namespace moored {
namespace {

// Texts that several rows share. A reason completes "… is not carried out: …".
constexpr std::string_view kRemoved = "this API version was removed from Kubernetes";
constexpr std::string_view kNotServed = "this API version is no longer served";
constexpr std::string_view kWorkload = "moored runs Deployments, ReplicaSets and Pods so far";
constexpr std::string_view kTasks = "moored has no tasks that end yet";
constexpr std::string_view kOneNode = "pods are not moved or preempted on one node";
constexpr std::string_view kAdmission = "admission is the operator's configuration";
constexpr std::string_view kStorage = "moored has no claims yet";
constexpr std::string_view kQuota = "limits are the operator's configuration";
constexpr std::string_view kRights = "the API is read-only, so there are no rights to give";
constexpr std::string_view kExtension = "the API cannot be extended";
constexpr std::string_view kDevices = "devices are not handed out";
constexpr std::string_view kCharts = "charts are not rendered";
constexpr std::string_view kSources = "sources are Git repositories";
constexpr std::string_view kNotices = "nothing is sent out";
constexpr std::string_view kQuestion = "it is a question to an API server and no object";
constexpr std::string_view kConversation = "it is a part of talking to an API server and no object";
constexpr std::string_view kDeploymentMoved =
    "write apps/v1; spec.selector is required and fixed, spec.rollbackTo is gone, "
    "progressDeadlineSeconds is 600 and maxSurge and maxUnavailable are 25% when left out";
constexpr std::string_view kAppsV1 = "write apps/v1";
constexpr std::string_view kIngressMoved =
    "write networking.k8s.io/v1; spec.backend became spec.defaultBackend, serviceName became "
    "service.name, servicePort became service.port.number or service.port.name, pathType is "
    "required";
constexpr std::string_view kNetworkV1 = "write networking.k8s.io/v1";
constexpr std::string_view kBatchV1 = "write batch/v1";
constexpr std::string_view kGitRepositoryMoved =
    "write source.toolkit.fluxcd.io/v1; spec.gitImplementation and spec.accessFrom are gone";
constexpr std::string_view kKustomizationMoved =
    "write kustomize.toolkit.fluxcd.io/v1; spec.validation and spec.patchesStrategicMerge "
    "are gone, spec.prune is required";
constexpr std::string_view kUseDeployment = "write a Deployment (apps/v1)";
constexpr std::string_view kRemove = "remove it";
constexpr std::string_view kUsePod = "use a Pod with restartPolicy OnFailure";
constexpr std::string_view kUseLocal = "use emptyDir, or hostPath where policy allows it";
constexpr std::string_view kKeep = "keep it for the cluster";
constexpr std::string_view kCommitRendered = "commit the rendered manifests";
constexpr std::string_view kUseGit = "use a GitRepository";
constexpr std::string_view kUseEvents = "watch the events of moored";

constexpr UnsupportedKind kRows[] = {
    // Old API versions: what to write instead, and the fields that moved.
    {"extensions", "v1beta1", "Deployment", kRemoved, kDeploymentMoved},
    {"apps", "v1beta1", "Deployment", kRemoved, kDeploymentMoved},
    {"apps", "v1beta2", "Deployment", kRemoved, kAppsV1},
    {"extensions", "v1beta1", "ReplicaSet", kRemoved,
     "write apps/v1; spec.selector is required and fixed"},
    {"apps", "v1beta2", "ReplicaSet", kRemoved, kAppsV1},
    {"extensions", "v1beta1", "DaemonSet", kRemoved,
     "write apps/v1; spec.selector is required and fixed, spec.templateGeneration is gone, "
     "spec.updateStrategy.type is RollingUpdate when left out"},
    {"apps", "v1beta2", "DaemonSet", kRemoved, kAppsV1},
    {"apps", "v1beta1", "StatefulSet", kRemoved,
     "write apps/v1; spec.selector is required and fixed, spec.updateStrategy.type is "
     "RollingUpdate when left out"},
    {"apps", "v1beta2", "StatefulSet", kRemoved, kAppsV1},
    {"extensions", "v1beta1", "Ingress", kRemoved, kIngressMoved},
    {"networking.k8s.io", "v1beta1", "Ingress", kRemoved, kIngressMoved},
    {"networking.k8s.io", "v1beta1", "IngressClass", kRemoved, kNetworkV1},
    {"extensions", "v1beta1", "NetworkPolicy", kRemoved, kNetworkV1},
    {"batch", "v1beta1", "CronJob", kRemoved, kBatchV1},
    {"batch", "v2alpha1", "CronJob", kRemoved, kBatchV1},
    {"policy", "v1beta1", "PodDisruptionBudget", kRemoved,
     "write policy/v1; an empty spec.selector selects every pod"},
    {"discovery.k8s.io", "v1beta1", "EndpointSlice", kRemoved,
     "write discovery.k8s.io/v1; endpoints[].topology became nodeName and zone, hostnames "
     "stay"},
    {"coordination.k8s.io", "v1beta1", "Lease", kRemoved, "write coordination.k8s.io/v1"},
    {"autoscaling", "v2beta1", "HorizontalPodAutoscaler", kRemoved,
     "write autoscaling/v2; targetAverageUtilization became target.averageUtilization with "
     "target.type"},
    {"autoscaling", "v2beta2", "HorizontalPodAutoscaler", kRemoved, "write autoscaling/v2"},
    {"source.toolkit.fluxcd.io", "v1beta1", "GitRepository", kNotServed, kGitRepositoryMoved},
    {"source.toolkit.fluxcd.io", "v1beta2", "GitRepository", kNotServed, kGitRepositoryMoved},
    {"kustomize.toolkit.fluxcd.io", "v1beta1", "Kustomization", kNotServed, kKustomizationMoved},
    {"kustomize.toolkit.fluxcd.io", "v1beta2", "Kustomization", kNotServed, kKustomizationMoved},
    // Kinds that are not carried out, in any version.
    {"apps", "", "StatefulSet", kWorkload, kUseDeployment},
    {"apps", "", "DaemonSet", kWorkload, kUseDeployment},
    {"apps", "", "ControllerRevision", "moored keeps the history itself", kRemove},
    {"", "", "PodTemplate", "nothing uses it by itself",
     "write the template into a Deployment (apps/v1)"},
    {"batch", "", "Job", kTasks, kUsePod},
    {"batch", "", "CronJob", kTasks, kUsePod},
    {"autoscaling", "", "HorizontalPodAutoscaler", "moored does not scale by load yet",
     "set spec.replicas"},
    {"autoscaling", "", "Scale", "it is part of a workload", "set spec.replicas of the workload"},
    {"policy", "", "PodDisruptionBudget", kOneNode, kRemove},
    {"policy", "", "Eviction", kOneNode, kRemove},
    {"policy", "", "PodSecurityPolicy", kAdmission, kRemove},
    {"networking.k8s.io", "", "Ingress", "moored has no ingress yet",
     "use a Service and a proxy in a Deployment"},
    {"networking.k8s.io", "", "IngressClass", "moored has no ingress yet", kRemove},
    {"networking.k8s.io", "", "NetworkPolicy", "moored does not filter between pods yet",
     "remove it knowing that"},
    {"networking.k8s.io", "", "ServiceCIDR", "the range is the operator's configuration",
     "set --service-cidr"},
    {"networking.k8s.io", "", "IPAddress", "addresses are given by moored itself", kRemove},
    {"", "", "PersistentVolume", kStorage, kUseLocal},
    {"", "", "PersistentVolumeClaim", kStorage, kUseLocal},
    {"storage.k8s.io", "", "StorageClass", kStorage, kUseLocal},
    {"storage.k8s.io", "", "VolumeAttachment", kStorage, kUseLocal},
    {"storage.k8s.io", "", "VolumeAttributesClass", kStorage, kUseLocal},
    {"storage.k8s.io", "", "CSIDriver", kStorage, kUseLocal},
    {"storage.k8s.io", "", "CSINode", kStorage, kUseLocal},
    {"storage.k8s.io", "", "CSIStorageCapacity", kStorage, kUseLocal},
    {"", "", "LimitRange", kQuota, kRemove},
    {"", "", "ResourceQuota", kQuota, kRemove},
    {"", "", "ComponentStatus", "moored has no such components", kRemove},
    {"", "", "Binding", "pods are bound by moored's scheduler", "set spec.nodeName"},
    {"events.k8s.io", "", "Event", "events are written by moored only", kRemove},
    {"scheduling.k8s.io", "", "PriorityClass", kOneNode, kRemove},
    {"node.k8s.io", "", "RuntimeClass", "there is one runtime", kRemove},
    {"rbac.authorization.k8s.io", "", "Role", kRights, kRemove},
    {"rbac.authorization.k8s.io", "", "RoleBinding", kRights, kRemove},
    {"rbac.authorization.k8s.io", "", "ClusterRole", kRights, kRemove},
    {"rbac.authorization.k8s.io", "", "ClusterRoleBinding", kRights, kRemove},
    {"certificates.k8s.io", "", "CertificateSigningRequest", kRights, kRemove},
    {"certificates.k8s.io", "", "ClusterTrustBundle", "nothing hands it out",
     "put the certificates into a ConfigMap"},
    {"apiextensions.k8s.io", "", "CustomResourceDefinition", kExtension, kKeep},
    {"apiregistration.k8s.io", "", "APIService", kExtension, kKeep},
    {"admissionregistration.k8s.io", "", "MutatingWebhookConfiguration", kAdmission, kRemove},
    {"admissionregistration.k8s.io", "", "ValidatingWebhookConfiguration", kAdmission, kRemove},
    {"admissionregistration.k8s.io", "", "ValidatingAdmissionPolicy", kAdmission, kRemove},
    {"admissionregistration.k8s.io", "", "ValidatingAdmissionPolicyBinding", kAdmission, kRemove},
    {"admissionregistration.k8s.io", "", "MutatingAdmissionPolicy", kAdmission, kRemove},
    {"admissionregistration.k8s.io", "", "MutatingAdmissionPolicyBinding", kAdmission, kRemove},
    {"flowcontrol.apiserver.k8s.io", "", "FlowSchema", kAdmission, kRemove},
    {"flowcontrol.apiserver.k8s.io", "", "PriorityLevelConfiguration", kAdmission, kRemove},
    {"resource.k8s.io", "", "ResourceClaim", kDevices, kRemove},
    {"resource.k8s.io", "", "ResourceClaimTemplate", kDevices, kRemove},
    {"resource.k8s.io", "", "DeviceClass", kDevices, kRemove},
    {"resource.k8s.io", "", "ResourceSlice", kDevices, kRemove},
    // What only travels between clients and servers, and kinds of one cluster's inner life.
    {"authentication.k8s.io", "", "SelfSubjectReview", kQuestion, kRemove},
    {"authentication.k8s.io", "", "TokenReview", kQuestion, kRemove},
    {"authentication.k8s.io", "", "TokenRequest", kQuestion, kRemove},
    {"authorization.k8s.io", "", "SelfSubjectAccessReview", kQuestion, kRemove},
    {"authorization.k8s.io", "", "SelfSubjectRulesReview", kQuestion, kRemove},
    {"authorization.k8s.io", "", "SubjectAccessReview", kQuestion, kRemove},
    {"authorization.k8s.io", "", "LocalSubjectAccessReview", kQuestion, kRemove},
    {"imagepolicy.k8s.io", "", "ImageReview", kQuestion, kRemove},
    {"admission.k8s.io", "", "AdmissionReview", kQuestion, kRemove},
    {"", "", "Status", kConversation, kRemove},
    {"", "", "APIVersions", kConversation, kRemove},
    {"", "", "APIGroup", kConversation, kRemove},
    {"", "", "APIResourceList", kConversation, kRemove},
    {"apidiscovery.k8s.io", "", "APIGroupDiscovery", kConversation, kRemove},
    {"", "", "CreateOptions", kConversation, kRemove},
    {"", "", "DeleteOptions", kConversation, kRemove},
    {"", "", "GetOptions", kConversation, kRemove},
    {"", "", "ListOptions", kConversation, kRemove},
    {"", "", "PatchOptions", kConversation, kRemove},
    {"", "", "UpdateOptions", kConversation, kRemove},
    {"", "", "NodeProxyOptions", kConversation, kRemove},
    {"", "", "PodAttachOptions", kConversation, kRemove},
    {"", "", "PodExecOptions", kConversation, kRemove},
    {"", "", "PodLogOptions", kConversation, kRemove},
    {"", "", "PodPortForwardOptions", kConversation, kRemove},
    {"", "", "PodProxyOptions", kConversation, kRemove},
    {"", "", "ServiceProxyOptions", kConversation, kRemove},
    {"", "", "SerializedReference", kConversation, kRemove},
    {"", "", "RangeAllocation", kConversation, kRemove},
    {"extensions", "", "DeploymentRollback", kConversation, kRemove},
    {"apps", "", "DeploymentRollback", kConversation, kRemove},
    {"apps", "", "Scale", kConversation, kRemove},
    {"extensions", "", "Scale", kConversation, kRemove},
    {"certificates.k8s.io", "", "PodCertificateRequest", kRights, kRemove},
    {"coordination.k8s.io", "", "LeaseCandidate", "there is one node and no election", kRemove},
    {"internal.apiserver.k8s.io", "", "StorageVersion", kConversation, kRemove},
    {"storagemigration.k8s.io", "", "StorageVersionMigration", "the store migrates by itself",
     kRemove},
    {"lifecycle.k8s.io", "", "Eviction", kOneNode, kRemove},
    {"lifecycle.k8s.io", "", "EvictionRequest", kOneNode, kRemove},
    {"resource.k8s.io", "", "DeviceTaintRule", kDevices, kRemove},
    {"resource.k8s.io", "", "ResourcePoolStatusRequest", kDevices, kRemove},
    {"scheduling.k8s.io", "", "Workload", kOneNode, kRemove},
    {"scheduling.k8s.io", "", "PodGroup", kOneNode, kRemove},
    {"scheduling.k8s.io", "", "CompositePodGroup", kOneNode, kRemove},
    {"audit.k8s.io", "", "Policy", "moored writes its own audit", kRemove},
    {"source.toolkit.fluxcd.io", "", "HelmRepository", kCharts, kCommitRendered},
    {"source.toolkit.fluxcd.io", "", "HelmChart", kCharts, kCommitRendered},
    {"source.toolkit.fluxcd.io", "", "OCIRepository", kSources, kUseGit},
    {"source.toolkit.fluxcd.io", "", "Bucket", kSources, kUseGit},
    {"helm.toolkit.fluxcd.io", "", "HelmRelease", kCharts, kCommitRendered},
    {"notification.toolkit.fluxcd.io", "", "Alert", kNotices, kUseEvents},
    {"notification.toolkit.fluxcd.io", "", "Provider", kNotices, kUseEvents},
    {"notification.toolkit.fluxcd.io", "", "Receiver", "nothing listens for it",
     "set an interval on the GitRepository"},
    {"kustomize.config.k8s.io", "", "Kustomization", "a kustomization.yaml is not an object",
     "name its folder as the path of a Kustomization (kustomize.toolkit.fluxcd.io/v1)"},
};

}  // namespace

const UnsupportedKind* find_unsupported(std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const bool core = slash == std::string_view::npos;
  const auto group = core ? std::string_view() : api_version.substr(0, slash);
  const auto version = core ? api_version : api_version.substr(slash + 1);
  const UnsupportedKind* any_version = nullptr;
  for (const auto& row : kRows) {
    if (row.group != group || row.kind != kind) continue;
    if (row.version == version) return &row;  // goes before a row of all versions
    if (row.version.empty() && any_version == nullptr) any_version = &row;
  }
  return any_version;
}

}  // namespace moored
