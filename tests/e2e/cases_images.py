"""Images from registries: pulled, verified, shared, refused, given up."""
import unittest

import harness
import registries
from harness import eventually

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: shop
"""


def deployment(image, name="web", more="", pod=""):
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: shop
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      terminationGracePeriodSeconds: 1
{pod}      containers:
        - name: main
          image: {image}
{more}"""


@unittest.skipUnless(registries.PROGRAM, "docker-registry is not installed")
class Pull(unittest.TestCase):
    """Every case starts from an empty machine and a registry beside it."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", NAMESPACE)
        self.repository.push("Start the shop")
        self.busybox = registries.busybox_layer()

    def start(self, *arguments):
        self.daemon = self.world.daemon(
            "node", "--git", self.repository.url, "--branch", "main", "--path", "app", *arguments)
        self.daemon.start()

    def image(self, text, **options):
        """An image with a file of its own over the layer that all share."""
        own = registries.make_layer({"etc/greeting": text.encode()})
        options.setdefault("Cmd", ["sh", "-c", "cat /etc/greeting; exec sleep 3600"])
        return registries.Image([self.busybox, own], **options)

    def push(self, message, **files):
        for name, text in files.items():
            self.repository.write(f"app/{name}.yaml", text)
        self.repository.push(message)

    def running(self, app, count=2):
        return eventually(f"{count} ready pods of {app}",
                          lambda: self.ready(app, count), 60)

    def ready(self, app, count):
        pods = self.daemon.ready_pods("shop", f"app={app}")
        return pods if len(pods) == count else None

    def events(self, reason):
        return [row["message"] for row in self.daemon.get("events", "-n", "shop")["items"]
                if row["reason"] == reason]

    def test_a_deployment_of_a_pushed_image_gets_ready(self):
        registry = registries.Registry(self.world)
        first = self.image("one")
        reference = registry.push("team/web:1", first)
        self.start()
        self.push("Run it", web=deployment(reference))
        for pod in self.running("web"):
            status = pod["status"]["containerStatuses"][0]
            self.assertEqual(status["image"], reference)
            self.assertEqual(status["imageID"], f"{registry.host}/team/web@{first.digest}")
        self.assertIn(f'Pulling image "{reference}"', self.events("Pulling"))
        self.assertTrue(any(words.startswith(f'Successfully pulled image "{reference}" in ')
                            for words in self.events("Pulled")), self.events("Pulled"))
        # Two pods, one download.
        self.assertEqual(len(registry.requests("/blobs/")), 3)
        self.assertEqual(registry.requests("/manifests/"), ["GET /v2/team/web/manifests/1 200"])
        # Another image on the same base brings only what is new.
        second = self.image("two")
        other = registry.push("team/shop:1", second)
        self.push("Run another", shop=deployment(other, "shop"))
        self.running("shop")
        fetched = [line.split("/blobs/")[1].split()[0] for line in registry.requests("/blobs/")]
        self.assertEqual(sorted(fetched), sorted([registries.digest_of(second.config),
                                                  registries.digest_of(second.packed[1])]))


if __name__ == "__main__":
    unittest.main()
