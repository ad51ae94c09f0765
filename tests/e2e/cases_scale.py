"""A repository of a real size: 300 objects, 5 namespaces, 1,000 commits, 50 pods."""
import unittest

import harness
from cases_path import IMAGE, make_root
from harness import eventually

NAMESPACES = [f"team-{number}" for number in range(5)]
FIFTY = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: fifty, namespace: team-0}
spec:
  replicas: 50
  selector: {matchLabels: {app: fifty}}
  template:
    metadata: {labels: {app: fifty}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: test/web:1
          command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 1; done"]
          resources: {requests: {cpu: 1m, memory: 1Mi}}
"""


def config_map(namespace, number, text):
    return (f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}, namespace: {namespace}}}\n"
            f"data: {{text: {text}}}\n")


class Scale(unittest.TestCase):

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)

    def make_history(self):
        """1,000 commits by one stream, each to one file, then the tree that is deployed."""
        stream = []
        for number in range(999):
            text = f"note {number}\n"
            stream.append(
                f"commit refs/heads/main\ncommitter Ada <ada@example.org> {1700000000 + number} +0000\n"
                f"data 6\nnote {number % 10}\nM 100644 inline notes/{number % 50}.txt\n"
                f"data {len(text)}\n{text}")
        harness.run("git", "-C", self.repository.bare, "fast-import", "--quiet",
                    input="\n".join(stream) + "\n")
        self.repository.git("pull", "-q", "origin", "main")
        objects = 0
        for namespace in NAMESPACES:
            self.repository.write(f"app/{namespace}/namespace.yaml",
                                  f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n")
            objects += 1
            for number in range(58):
                self.repository.write(f"app/{namespace}/c{number}.yaml",
                                      config_map(namespace, number, "first"))
                objects += 1
        for number in range(4):
            self.repository.write(
                f"app/team-1/s{number}.yaml",
                f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, namespace: team-1}}\n"
                f"spec: {{selector: {{app: none}}, ports: [{{port: 80}}]}}\n")
            objects += 1
        self.repository.write("app/team-0/fifty.yaml", FIFTY)
        self.assertEqual(objects + 1, 300)
        self.repository.push("Deploy 300 objects")
        self.assertEqual(self.repository.git("rev-list", "--count", "HEAD"), "1000")

    def versions(self, daemon):
        out = {}
        for kind in ("configmaps", "services", "deployments", "replicasets", "pods"):
            for item in daemon.get(kind, "-A")["items"]:
                meta = item["metadata"]
                out[kind, meta["namespace"], meta["name"]] = meta["resourceVersion"]
        return out

    def test_it_converges_and_a_change_touches_only_its_own(self):
        self.make_history()
        daemon = self.world.daemon("node", "--git", self.repository.url, "--path", "app")
        daemon.start()
        daemon.import_image(IMAGE, make_root(self.world.directory))
        eventually("50 ready pods", lambda: len(daemon.ready_pods("team-0")) == 50, 180)
        eventually("290 ConfigMaps", lambda: sum(
            item["metadata"]["namespace"] in NAMESPACES
            for item in daemon.get("configmaps", "-A")["items"]) == 290)
        daemon.sync()
        before = self.versions(daemon)
        self.repository.write("app/team-3/c7.yaml", config_map("team-3", 7, "second"))
        self.repository.push("Change one file")
        daemon.sync()
        eventually("the changed text", lambda: daemon.get(
            "configmap", "c7", "-n", "team-3")["data"]["text"] == "second")
        after = self.versions(daemon)
        self.assertEqual([key for key in after if after[key] != before.get(key)],
                         [("configmaps", "team-3", "c7")])
        self.assertEqual(set(before), set(after))
        self.assertEqual(daemon.invariants(), "")


if __name__ == "__main__":
    unittest.main()
