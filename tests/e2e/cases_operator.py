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
        eventually("every container started again", lambda: all(
            status["restartCount"] > 0 for pod in self.daemon.ready_pods("shop", "app=keeper")
            for status in pod["status"]["containerStatuses"]))
        self.assertEqual({pod["metadata"]["uid"] for pod in self.ready()}, before)

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
