// Kinds that are known and not carried out, and how the refusal is worded.
#include "schema/model/unsupported.hpp"
#include "tests/unit/schema/model_support.hpp"

namespace moored {
namespace {

Error only_error(const std::string& api_version, const std::string& kind) {
  const auto diagnostics = testing::read_manifest("apiVersion: " + api_version + "\nkind: " +
                                                  kind + "\nmetadata: {name: a}\n");
  REQUIRE(diagnostics.error_count() == 1);
  return diagnostics.errors().front();
}

TEST_CASE("kinds of Kubernetes that are not carried out say why and what to do") {
  for (const auto& [api_version, kind] : std::vector<std::pair<std::string, std::string>>{
           {"apps/v1", "StatefulSet"}, {"apps/v1", "DaemonSet"}, {"batch/v1", "Job"},
           {"batch/v1", "CronJob"}, {"networking.k8s.io/v1", "Ingress"},
           {"networking.k8s.io/v1", "NetworkPolicy"}, {"autoscaling/v2", "HorizontalPodAutoscaler"},
           {"policy/v1", "PodDisruptionBudget"}, {"v1", "PersistentVolumeClaim"},
           {"v1", "PersistentVolume"}, {"storage.k8s.io/v1", "StorageClass"},
           {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"},
           {"rbac.authorization.k8s.io/v1", "Role"}, {"v1", "LimitRange"}, {"v1", "ResourceQuota"},
           {"apiextensions.k8s.io/v1", "CustomResourceDefinition"},
           {"scheduling.k8s.io/v1", "PriorityClass"}, {"helm.toolkit.fluxcd.io/v2", "HelmRelease"},
           {"kustomize.config.k8s.io/v1beta1", "Kustomization"},
           {"authentication.k8s.io/v1", "TokenReview"}, {"v1", "DeleteOptions"},
           {"v1", "Status"}, {"coordination.k8s.io/v1beta1", "LeaseCandidate"},
           {"scheduling.k8s.io/v1beta1", "PodGroup"}}) {
    INFO(api_version << " " << kind);
    REQUIRE(find_unsupported(api_version, kind) != nullptr);
    const auto error = only_error(api_version, kind);
    CHECK(error.reason == "UnknownKind");
    CHECK(error.place.field == "kind");
    CHECK(error.message.find("not carried out") != std::string::npos);
    CHECK_FALSE(error.fix.empty());
  }
}

TEST_CASE("old API versions name the new one and what moved") {
  const auto deployment = only_error("extensions/v1beta1", "Deployment");
  CHECK(deployment.fix.find("apps/v1") != std::string::npos);
  CHECK(deployment.fix.find("spec.selector") != std::string::npos);
  const auto ingress = only_error("extensions/v1beta1", "Ingress");
  CHECK(ingress.fix.find("networking.k8s.io/v1") != std::string::npos);
  CHECK(ingress.fix.find("servicePort") != std::string::npos);
  CHECK(only_error("batch/v1beta1", "CronJob").fix.find("batch/v1") != std::string::npos);
  CHECK(only_error("policy/v1beta1", "PodDisruptionBudget").fix.find("policy/v1") !=
        std::string::npos);
}

TEST_CASE("what nobody knows is not found") {
  CHECK(find_unsupported("apps/v1", "Deployment") == nullptr);
  CHECK(find_unsupported("v1", "StatefulSet") == nullptr);
  CHECK(find_unsupported("", "") == nullptr);
  CHECK(find_unsupported("example.com/v1", "Ingress") == nullptr);
  CHECK(find_unsupported("apps/v1beta1", "Deployment")->version == "v1beta1");
  CHECK(find_unsupported("apps/v9", "DaemonSet")->version.empty());
}

TEST_CASE("no kind is both carried out and refused in the same version") {
  for (const Kind* kind : all_kinds()) {
    INFO(kind->kind);
    CHECK(find_unsupported(kind->api_version(), kind->kind) == nullptr);
  }
}

}  // namespace
}  // namespace moored
