"""Images from registries: pulled, verified, shared, refused, given up."""
import os
import pathlib
import unittest

import harness
import names
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

    @staticmethod
    def variable(value):
        return f"          env: [{{name: A, value: {value}}}]\n"

    def test_always_asks_what_a_moved_tag_means(self):
        registry = registries.Registry(self.world)
        first = self.image("one", packing="zstd")
        reference = registry.push("team/web:latest", first)
        self.start()
        self.push("Run it", web=deployment(reference))
        self.running("web")
        second = self.image("two", packing="")
        registry.push("team/web:latest", second)
        self.push("Run it again", web=deployment(reference, more=self.variable("b")))
        eventually("pods of the second image", lambda: {second.digest} == {
            pod["status"]["containerStatuses"][0]["imageID"].split("@")[1]
            for pod in self.ready("web", 2) or []})
        # A third start finds nothing new, and fetches nothing.
        registry.clear_log()
        self.push("And again", web=deployment(reference, more=self.variable("c")))
        eventually("the tag to be asked for", lambda: registry.requests("/manifests/latest"))
        eventually("pods of the third revision", lambda: ["c", "c"] == [
            pod["spec"]["containers"][0]["env"][0]["value"]
            for pod in self.ready("web", 2) or []])
        self.assertEqual(registry.requests("/blobs/"), [])

    def test_an_image_of_an_index_and_a_volume_of_the_image(self):
        registry = registries.Registry(self.world)
        image = self.image("one", Volumes={"/etc": {}}, Cmd=[
            "sh", "-c", "touch /etc/x && ! touch /x && exec sleep 3600"])
        registry.push("team/web:amd", image)
        index = registries.json.dumps({"schemaVersion": 2, "mediaType": registries.INDEX,
                                       "manifests": [
            registries.descriptor(image.manifest, registries.MANIFEST, platform={
                "os": "unknown", "architecture": "unknown"}),
            registries.descriptor(image.manifest, registries.MANIFEST, platform={
                "os": "linux", "architecture": registries.ARCHITECTURE})]}).encode()
        registry.push_document("team/web", "1", index, registries.INDEX)
        self.start()
        self.push("Run it", web=deployment(
            f"{registry.host}/team/web:1",
            more="          securityContext: {readOnlyRootFilesystem: true}\n"))
        for pod in self.running("web"):
            self.assertIn(image.digest, pod["status"]["containerStatuses"][0]["imageID"])

    def waiting(self, app="web"):
        """(reason, message) of the containers of an app that wait."""
        return [(row["reason"], row.get("message", "")) for pod in self.daemon.pods(
                    "shop", f"app={app}")
                for status in pod["status"].get("containerStatuses", [])
                for row in [status["state"].get("waiting")] if row]

    def refused(self, *words, app="web"):
        """Waits until a pull of the app was refused with all these words."""
        def look():
            waiting = self.waiting(app)
            return waiting and all(
                reason in ("ErrImagePull", "ImagePullBackOff") and
                all(word in message for word in words) for reason, message in waiting)
        try:
            return eventually(f"{words} of {app}", look, 30)
        except harness.Failed as error:
            raise harness.Failed(f"{error}; waiting: {self.waiting(app)}") from error

    def test_passwords_and_pull_secrets(self):
        files = registries.make_passwords(self.world.directory, ada="secret", bob="word")
        registry = registries.Registry(
            self.world, auth=f"auth: {{htpasswd: {{realm: test, path: {files}}}}}\n",
            logins=("-u", "ada:secret"))
        reference = registry.push("team/web:1", self.image("one"))
        self.start()
        self.push("Run it", web=deployment(reference))
        self.refused("Unauthorized", "pull access denied")
        secret = registries.pull_secret("registry", registry.host, "bob", "word")
        self.push("Say who asks", secret=secret, web=deployment(
            reference, pod="      imagePullSecrets: [{name: registry}]\n"))
        self.running("web")
        self.assertNotIn("word", self.daemon.output.read_text())

    def test_tokens_by_the_operators_credentials(self):
        server = registries.TokenServer(self.world, "ada", "secret")
        registry = registries.Registry(self.world, auth=server.registry_configuration(),
                                       logins=("-H", f"Authorization: Bearer {server.token}"))
        reference = registry.push("team/web:1", self.image("one"))
        credentials = self.world.directory / "credentials.json"
        credentials.write_text(registries.docker_config(registry.host, "ada", "wrong"))
        configuration = self.world.directory / "moored.yaml"
        configuration.write_text(f"images:\n  credentialsFile: {credentials}\n")
        self.start("--config", configuration)
        self.push("Run it", web=deployment(reference))
        self.refused("RealmRefused", server.url)
        self.assertEqual(server.seen(), [])
        self.daemon.kill(15)
        configuration.write_text(
            f"images:\n  credentialsFile: {credentials}\n  registries:\n"
            f"    - {{host: '{registry.host}', realms: ['{server.url}']}}\n")
        self.daemon.start()
        self.refused("Unauthorized")
        # A changed file needs no restart.
        credentials.write_text(registries.docker_config(registry.host, "ada", "secret"))
        self.running("web")
        self.assertIn("service=registry.test&scope=repository%3Ateam%2Fweb%3Apull",
                      server.seen()[-1])

    def test_a_registry_by_its_name_over_tls(self):
        names.serve(self.world)
        authority = names.Authority(self.world.directory)
        stranger = names.Authority(self.world.directory, "stranger")
        registry = registries.Registry(
            self.world, name="registry.example",
            tls=authority.sign("registry", "subjectAltName=DNS:registry.example"))
        reference = registry.push("team/web:1", self.image("one"))
        configuration = self.world.directory / "moored.yaml"

        def trust(certificate):
            configuration.write_text("images:\n  registries:\n" + "".join(
                f"    - {{host: '{name}:5000', caFile: {certificate}}}\n"
                for name in ("registry.example", "other.example")))
        trust(stranger.certificate)
        self.start("--config", configuration)
        self.push("Run it", web=deployment(reference))
        self.refused("CertificateInvalid")
        self.assertEqual(registry.requests(), [])
        self.daemon.kill(15)
        trust(authority.certificate)
        self.daemon.start()
        self.running("web")
        # The same registry under a name that its certificate does not have.
        self.push("Run it again", other=deployment("other.example:5000/team/web:1", "other"))
        self.refused("CertificateInvalid", app="other")

    def test_an_unused_image_is_given_up_when_the_disk_is_full(self):
        registry = registries.Registry(self.world)
        first = registry.push("team/one:1", self.image("one"))
        second = registry.push("team/two:1", self.image("two"))
        configuration = self.world.directory / "moored.yaml"
        configuration.write_text("images: {highThresholdPercent: 1, lowThresholdPercent: 0, "
                                 "minimumAge: 1s}\n")
        self.start("--config", configuration)
        self.push("Run one", web=deployment(first))
        self.running("web")
        self.push("Run two beside it", two=deployment(second, "two"))
        self.running("two")
        self.assertEqual(self.names(), [first, second])
        self.repository.remove("app/web.yaml")
        self.push("Run two only")
        eventually("pods of the first to go",
                   lambda: not self.daemon.pods("shop", "app=web"))
        third = registry.push("team/three:1", self.image("three"))
        self.push("Run three", three=deployment(third, "three"))
        self.running("three")
        eventually("the first image to be given up", lambda: self.names() == [third, second])
        self.assertEqual(len(self.ready("two", 2)), 2)

    def names(self):
        return sorted(row["name"] for row in self.daemon.report("image", "ls")["images"])

    def image_files(self):
        """Files of the image store that belong to some image."""
        root = self.daemon.state_dir / "images"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def test_hostile_registries_are_refused_and_leave_nothing(self):
        shared = os.environ.get("MOORED_SHARED", harness.ROOT.parent / "shared")
        cases = pathlib.Path(shared) / "badinput"
        if not cases.is_dir():
            self.skipTest(f"SKIPPED LOUDLY: the bad input is not at {cases}")
        expected = {"i-digest-mismatch": "DigestMismatch", "i-gzip-bomb": "LayerLimit",
                    "i-hardlink-outside": "LayerEscape", "i-hostile-config": "ConfigInvalid",
                    "i-index-chain": "ManifestInvalid", "i-layer-dotdot": "LayerEscape",
                    "i-manifest-confusion": "ManifestInvalid", "i-whiteouts": "ManifestInvalid"}
        self.start()
        for port, (name, reason) in enumerate(expected.items(), 5100):
            layout = cases / name / "layout"
            if not layout.is_dir():
                layout = self.world.directory / name
                harness.run("bash", cases / name / "make.sh", layout, timeout=200)
            registries.bad_server(self.world, cases, "registry", port, layout)
            self.push(f"Run {name}", **{name: deployment(f"127.0.0.1:{port}/team/web:bad", name)})
        modes = {"reg-500": "status 500", "reg-redirect-file": "RedirectRefused",
                 "reg-realm-elsewhere": "RealmRefused", "reg-length-lies": "ConnectionLost"}
        for port, mode in enumerate(modes, 5200):
            registries.bad_server(self.world, cases, mode, port)
            self.push(f"Run {mode}", **{mode: deployment(f"127.0.0.1:{port}/team/web:bad", mode)})
        for name, words in {**expected, **modes}.items():
            with self.subTest(name):
                self.refused(words, app=name)
        self.assertEqual(self.image_files(), [])
        # The registry at their side still serves.
        registry = registries.Registry(self.world)
        reference = registry.push("team/web:1", self.image("one"))
        self.push("Run a good one", web=deployment(reference))
        self.running("web")


if __name__ == "__main__":
    unittest.main()
