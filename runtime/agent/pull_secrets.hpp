// Which Secrets a pod's images may be pulled with.
#pragma once

#include <string>
#include <vector>

namespace moored {
class StateView;
struct Pod;
}  // namespace moored

namespace moored::agent {

struct PullSecrets {
  std::vector<std::string> texts;    // contents, those to try first in front
  std::vector<std::string> missing;  // names: absent, of another type, or without the key
};

// Those of the pod, then those of its ServiceAccount, which Kubernetes copies into pods that name
// none. Only of the pod's own namespace. Source: core/v1 PodSpec.imagePullSecrets.
PullSecrets read_pull_secrets(const Pod& pod, const StateView& view);

}  // namespace moored::agent
