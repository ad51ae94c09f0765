"""Pod Security from the outside: who may have the node's namespaces, and that he then has them."""
import os
import unittest

import cases_path
import harness
from cases_path import IMAGE, NAMESPACE
from harness import eventually

CONFIGURATION = """\
policy:
  namespaces: {edge: privileged, tight: restricted}
  sources: {edge/held: baseline}
"""
EDGE = """\
apiVersion: v1
kind: Namespace
metadata: {name: edge}
"""
SLEEP = "command: [sh, -c, \"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]"
HOST = """\
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: edge}
spec:
  hostNetwork: true
  hostPID: true
  hostIPC: true
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: test/web:1
      COMMAND
      ports: [{containerPort: 8099}]
      securityContext: {privileged: true}
""".replace("COMMAND", SLEEP)
PORT = """\
apiVersion: v1
kind: Pod
metadata: {name: port, namespace: edge}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: test/web:1
      command: [sh, -c, "mkdir -p /tmp/w; echo port > /tmp/w/i; exec httpd -f -p 80 -h /tmp/w"]
      ports: [{containerPort: 80, hostPort: 8088}]
      readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}
"""
PLAIN = """\
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: shop}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: test/web:1
      COMMAND
""".replace("COMMAND", SLEEP)
HELD = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: held, namespace: edge}
spec: {url: "URL", interval: 1s, ref: {branch: held}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: held, namespace: edge}
spec: {interval: 1s, path: ./held, prune: true, sourceRef: {kind: GitRepository, name: held}}
"""
SPACES = ("net", "pid", "ipc", "uts")


class Policy(unittest.TestCase):
    """One daemon whose operator trusts one namespace and holds another short."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)
        configuration = self.world.directory / "moored.yaml"
        configuration.write_text(CONFIGURATION)
        self.repository.write("app/00.yaml", NAMESPACE + "---\n" + EDGE)
        self.repository.write("app/plain.yaml", PLAIN)
        self.repository.push("Start")
        self.daemon = self.world.daemon("node", "--config", configuration, "--git",
                                        self.repository.url, "--path", "app")
        self.daemon.start()
        self.daemon.import_image(IMAGE, cases_path.make_root(self.world.directory))
        self.ready("shop", "plain")

    def tearDown(self):
        self.assertEqual(self.daemon.invariants(), "", "the checker speaks")

    def ready(self, namespace, name):
        return eventually(f"{name} to be ready", lambda: next(
            (pod for pod in self.daemon.ready_pods(namespace)
             if pod["metadata"]["name"] == name), None))

    def pid_of(self, pod):
        """The first process of a pod's container, from what its shim wrote down."""
        path = (self.daemon.run_dir / "pods" / pod["metadata"]["uid"] / "c/main/0/state.json")
        return harness.json.loads(path.read_text())["pid"]

    def spaces(self, process):
        return {kind: os.readlink(f"/proc/{process}/ns/{kind}") for kind in SPACES}

    def refusal(self, message):
        self.repository.push(message)
        result = self.daemon.ctl("sync", "--wait", check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        return result.stdout + result.stderr

    def test_the_nodes_namespaces_go_to_a_trusted_namespace_only(self):
        plain = self.spaces(self.pid_of(self.ready("shop", "plain")))
        self.repository.write("app/host.yaml", HOST)
        self.repository.write("app/port.yaml", PORT)
        self.repository.push("Add pods of the node")
        self.daemon.sync()
        host = self.ready("edge", "host")
        node = self.spaces(self.daemon.process.pid)
        own = self.spaces(self.pid_of(host))
        for kind in SPACES:
            self.assertEqual(own[kind], node[kind], kind)
            self.assertNotEqual(plain[kind], node[kind], kind)
        self.assertEqual(host["status"]["podIP"], host["status"]["hostIP"])
        status = open(f"/proc/{self.pid_of(host)}/status", encoding="ascii").read()
        self.assertIn("Seccomp:\t0", status)
        # The node's port leads into the other pod: from the node, by its address and by loopback.
        self.ready("edge", "port")
        for address in (host["status"]["hostIP"], "127.0.0.1"):
            self.assertEqual(self.world.http(f"http://{address}:8088/i"), "port\n", address)
        # The same manifest in any other namespace is refused, with every field.
        self.repository.write("app/other.yaml", HOST.replace("edge", "shop"))
        said = self.refusal("Ask for the same elsewhere")
        for place in ("other.yaml:5:16: spec.hostNetwork", "other.yaml:6:12: spec.hostPID",
                      "other.yaml:7:12: spec.hostIPC",
                      "other.yaml:14:37: spec.containers[0].securityContext.privileged"):
            self.assertIn(place, said)
        self.assertIn("Forbidden", said)
        self.assertIn("ask the operator", said)

    def test_a_repository_cannot_relax_its_own_policy(self):
        self.repository.write("app/00.yaml", NAMESPACE.rstrip() +
                              "\n  labels: {pod-security.kubernetes.io/enforce: privileged}\n")
        self.repository.write("app/p.yaml", PLAIN.replace("plain", "bold") +
                              "      securityContext: {privileged: true}\n")
        self.assertIn("p.yaml:10:", self.refusal("Relabel the namespace"))
        self.ready("shop", "plain")

    def test_restricted_wants_more_than_baseline(self):
        self.repository.write("app/t.yaml", PLAIN.replace("shop", "tight"))
        said = self.refusal("A pod that says nothing about its rights")
        for field in ("allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile",
                      "capabilities.drop"):
            self.assertIn("securityContext." + field, said)

    def test_a_source_can_be_held_shorter_than_its_namespace(self):
        self.repository.write("app/held.yaml", HELD.replace("URL", self.repository.url))
        self.repository.push("Add a second source")
        self.repository.write("held/host.yaml", HOST.replace("name: host", "name: other"))
        self.repository.push("What the second source asks for", branch="held")
        self.daemon.ctl("sync", check=False)

        def refused():
            unit = self.daemon.get("kustomization.kustomize.toolkit.fluxcd.io", "held", "-n", "edge")
            return [row["message"] for row in unit["status"]["conditions"]
                    if row["type"] == "Ready" and row["status"] == "False"
                    and "spec.hostNetwork" in row["message"]]
        self.assertIn("baseline", eventually("the refusal", refused)[0])
        self.assertFalse([pod for pod in self.daemon.pods("edge")
                          if pod["metadata"]["name"] == "other"])


if __name__ == "__main__":
    unittest.main()
