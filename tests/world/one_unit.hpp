// The operator's configuration that tests begin with.
#pragma once

namespace moored::test {

// One source, and one unit that applies its root.
inline constexpr const char* kOneUnit = R"(
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: default, namespace: moored-system}
spec: {url: "https://git.test/app.git", interval: 10s}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: default, namespace: moored-system}
spec:
  interval: 10s
  path: ./
  prune: true
  sourceRef: {kind: GitRepository, name: default}
)";

}  // namespace moored::test
