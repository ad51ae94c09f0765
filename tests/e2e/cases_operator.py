"""What an operator does: confirm, follow logs, take down and start again, lose the run directory."""
import os
import signal
import subprocess
import unittest

import cases_path
import harness
from cases_path import IMAGE, NAMESPACE
from harness import eventually

# Waits for a word from outside, says one more line and ends.
TALKER = """\
apiVersion: v1
kind: Pod
metadata: {name: talker, namespace: shop}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: test/web:1
      command: [sh, -c, "echo first; until [ -f /tmp/go ]; do sleep 0.1; done; echo last"]
"""
KEEPER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: keeper, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: keeper}}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: test/web:1
          command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
"""
SLOW = """\
apiVersion: v1
kind: Pod
metadata: {name: slow, namespace: shop}
spec:
  terminationGracePeriodSeconds: 3
  containers:
    - name: main
      image: test/web:1
      command: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done"]
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {text: first}
"""
SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: other, namespace: shop}
spec: {url: "URL", interval: 1s, ref: {branch: other}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: other, namespace: shop}
spec: {interval: 1s, path: ./two, prune: true, sourceRef: {kind: GitRepository, name: other}}
"""


class Operator(unittest.TestCase):
    """Every case starts from two ready pods."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", NAMESPACE)
        self.repository.write("app/keeper.yaml", KEEPER)
        self.repository.push("Start the shop")
        self.daemon = self.world.daemon("node", "--git", self.repository.url, "--path", "app")
        self.daemon.start()
        self.daemon.import_image(IMAGE, cases_path.make_root(self.world.directory))
        self.ready()

    def tearDown(self):
        self.assertEqual(self.daemon.invariants(), "", "the checker speaks")

    def ready(self, count=2):
        return eventually(
            f"{count} ready pods",
            lambda: (lambda pods: pods if len(pods) == count else None)(
                self.daemon.ready_pods("shop", "app=keeper")))

    def refused(self, *arguments):
        """What a command says that must fail."""
        result = self.daemon.ctl(*arguments, check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        return result.stderr

    def test_confirm_lets_a_held_prune_go(self):
        self.repository.remove("app/keeper.yaml")
        self.repository.remove("app/namespace.yaml")
        self.repository.write("app/README", "nothing left\n")
        sha = self.repository.push("Remove everything")
        held = self.daemon.ctl("sync", "--wait", check=False)
        self.assertEqual(held.returncode, 1)
        self.assertIn("moorctl confirm", held.stdout + held.stderr)
        self.assertEqual(self.daemon.report("trace", sha)["outcome"], "held")
        self.ready()
        for wrong in (("confirm", sha[:6]), ("confirm", "main"),
                      ("confirm", "--unit", "moored-system/other", sha)):
            self.assertIn("nothing is held", self.refused(*wrong))
        self.ready()
        self.assertIn("allowed", self.daemon.ctl("confirm", sha[:10]).stdout)
        eventually("an empty shop", lambda: not self.daemon.pods("shop"))
        eventually("a ready revision",
                   lambda: self.daemon.report("trace", sha)["outcome"] == "ready")
        self.assertIn("nothing is held", self.refused("confirm", sha))
        self.assertIn("confirm", self.daemon.ctl("history").stdout)

    def test_a_pod_that_is_added_again_while_it_goes_comes_back(self):
        self.repository.write("app/slow.yaml", SLOW)
        self.repository.push("Add a pod that takes its time to end")
        self.daemon.sync()
        uid = self.daemon.get("pod", "slow", "-n", "shop")["metadata"]["uid"]
        self.repository.replace("app/slow.yaml", "sleep 0.1", "sleep 0.2")
        self.repository.push("Change what it runs")
        refused = self.daemon.ctl("sync", "--wait", check=False)
        self.assertIn("Immutable", refused.stdout)
        self.repository.remove("app/slow.yaml")
        self.repository.push("Remove it")
        self.daemon.ctl("sync")
        eventually("the pod to end", lambda: "deletionTimestamp" in self.daemon.get(
            "pod", "slow", "-n", "shop")["metadata"])
        self.repository.write("app/slow.yaml", SLOW)
        self.repository.push("Add it again")
        self.daemon.ctl("sync")
        eventually("another pod of that name", lambda: [
            pod for pod in self.daemon.ready_pods("shop")
            if pod["metadata"]["name"] == "slow" and pod["metadata"]["uid"] != uid])
        self.daemon.sync()

    def test_a_source_declared_in_git_is_followed_and_suspended(self):
        self.repository.write("two/config.yaml", CONFIG)
        self.repository.push("Start another branch", branch="other")
        self.repository.write("app/source.yaml", SOURCE.replace("URL", self.repository.url))
        self.repository.push("Follow the other branch")
        self.daemon.sync()
        self.daemon.ctl("sync", "shop/other", "--wait")
        self.assertEqual(self.text_of_config(), "first")
        self.repository.replace("app/source.yaml", "prune: true", "prune: true, suspend: true")
        self.repository.push("Suspend it")
        self.daemon.sync()
        self.repository.replace("two/config.yaml", "first", "second")
        self.repository.push("Not now", branch="other")
        self.assertIn("shop/other", self.daemon.ctl("sync").stdout)
        unit = next(row for row in self.daemon.report("status")["units"]
                    if row["name"] == "shop/other")
        self.assertTrue(unit["suspended"])
        self.assertEqual(self.text_of_config(), "first")
        self.repository.replace("app/source.yaml", ", suspend: true", "")
        self.repository.push("Resume it")
        self.daemon.sync()
        eventually("the change made meanwhile", lambda: self.text_of_config() == "second")
        self.repository.remove("app/source.yaml")
        self.repository.push("Do without it")
        self.daemon.sync()
        eventually("its objects gone with it", lambda: "settings" not in [
            row["metadata"]["name"] for row in self.daemon.get("configmaps", "-n", "shop")["items"]])

    def text_of_config(self):
        return self.daemon.get("configmap", "settings", "-n", "shop")["data"]["text"]

    def test_a_commit_that_git_goes_back_to_is_awaited_again(self):
        first = self.repository.git("rev-parse", "HEAD")
        self.repository.replace("app/keeper.yaml", "sleep 0.1", "sleep 0.2")
        self.repository.push("Sleep longer")
        self.daemon.sync()
        self.repository.git("reset", "-q", "--hard", first)
        self.repository.git("push", "-q", "--force", "origin", "HEAD:refs/heads/main")
        self.daemon.sync()
        deployment = self.daemon.get("deployment", "keeper", "-n", "shop")
        self.assertIn("sleep 0.1",
                      deployment["spec"]["template"]["spec"]["containers"][0]["command"][2])
        self.assertEqual(deployment["status"]["updatedReplicas"], 2)
        self.assertEqual(deployment["status"]["readyReplicas"], 2)
        self.assertIn("HistoryRewritten", self.daemon.kubectl("get", "events", "-A").stdout)

    def test_an_image_with_two_names_can_lose_one(self):
        self.daemon.import_image("test/other:1", self.world.directory / "root")
        self.assertIn("uses", self.refused("image", "rm", IMAGE))
        self.assertIn("removed", self.daemon.ctl("image", "rm", "test/other:1").stdout)
        self.assertIn("uses", self.refused("image", "rm", IMAGE))
        self.assertIn("there is no image", self.refused("image", "rm", "test/absent:1"))

    def test_logs_are_followed_until_the_pod_ends(self):
        self.repository.write("app/talker.yaml", TALKER)
        self.repository.push("Talk")
        self.daemon.ctl("sync")
        self.daemon.kubectl("wait", "--for=condition=Ready", "pod/talker", "-n", "shop",
                            "--timeout=30s")
        server = f"http://127.0.0.1:{self.daemon.port}"
        followers = []
        for command in (
                (harness.NEW_KUBECTL, "-s", server, "logs", "-f", "-n", "shop", "talker"),
                (harness.BIN / "moorctl", "--run-dir", self.daemon.run_dir, "logs", "-f", "-n",
                 "shop", "talker")):
            child = subprocess.Popen(self.world.inside(*command), stdout=subprocess.PIPE, text=True)
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.kill)
            lines = []
            followers.append((child, lines, harness.follow(child, lines)))
        for _, lines, _ in followers:
            eventually("the first line", lambda seen=lines: seen == ["first"])
        for child, _, _ in followers:
            self.assertIsNone(child.poll(), "the follower ended before the pod")
        self.daemon.ctl("exec", "-n", "shop", "talker", "--", "touch", "/tmp/go")
        for child, lines, reader in followers:
            self.assertEqual(child.wait(30), 0)
            reader.join(10)
            self.assertEqual(lines, ["first", "last"])

    def test_a_lost_run_directory_is_a_reboot(self):
        before = {pod["metadata"]["uid"] for pod in self.ready()}
        self.daemon.kill(signal.SIGTERM)
        self.assertEqual(self.daemon.process.returncode, 0, self.daemon.tail())
        for pid in self.shims():
            os.kill(pid, signal.SIGKILL)
        self.unmount()
        harness.shutil.rmtree(self.daemon.run_dir)
        self.daemon.run_dir.mkdir()
        self.daemon.start()
        self.started_again()
        self.assertEqual({pod["metadata"]["uid"] for pod in self.ready()}, before)

    def test_a_machine_is_cleared_without_a_daemon(self):
        """What a removal of the package does when the daemon cannot be started any more."""
        self.daemon.kill()
        instance = self.daemon.instance()
        clear = harness.ROOT / "docs" / "package" / "clear-machine"
        harness.run(*self.world.inside(clear, self.daemon.state_dir, self.daemon.run_dir))
        left = self.daemon.invariants("--gone", "--instance", instance)
        self.assertEqual(left, f"left: directory {self.daemon.state_dir}", "left after clearing")
        self.assertFalse(self.daemon.run_dir.exists())
        self.daemon.start()
        self.started_again()

    def started_again(self):
        eventually("every container started again", lambda: [
            status["restartCount"] > 0 for pod in self.daemon.ready_pods("shop", "app=keeper")
            for status in pod["status"]["containerStatuses"]] == [True, True])

    def unmount(self):
        """Takes the mounts of the run directory away, as the end of a machine does."""
        with open("/proc/self/mounts", encoding="ascii") as file:
            places = [line.split()[1] for line in file]
        for place in sorted(places, reverse=True):
            if (place + "/").startswith(str(self.daemon.run_dir) + "/"):
                harness.run("umount", "--lazy", place)

    def shims(self):
        """The pids of this daemon's pod supervisors."""
        out = []
        for entry in harness.pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with harness.contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if "moored-shim" in words[0] and any(str(self.daemon.run_dir) in word
                                                     for word in words):
                    out.append(int(entry.name))
        self.assertTrue(out, "no shim found")
        return out

    def test_down_keeps_images_and_a_start_brings_all_back(self):
        instance = self.daemon.instance()
        self.daemon.ctl("down", timeout=180)
        self.assertEqual(self.daemon.process.wait(60), 0)
        left = self.daemon.invariants("--gone", "--instance", instance).splitlines()
        self.assertEqual(left, [f"left: directory {self.daemon.state_dir}"])
        self.daemon.start()
        self.ready()
        self.assertIn(IMAGE, self.daemon.ctl("image", "ls").stdout)


if __name__ == "__main__":
    unittest.main()
