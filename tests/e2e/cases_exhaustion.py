"""Disks, descriptors, processes and clocks that fail the daemon: it holds, and goes on by itself."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import cases_path
import harness
from harness import eventually

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
PIDS = pathlib.Path("/sys/fs/cgroup/pids")


class Exhaustion(unittest.TestCase):
    """Two ready web pods under a daemon whose directories lie on a small file system."""

    def setUp(self):
        self.world = harness.World()
        self.disk = self.world.directory / "node"
        self.addCleanup(self.remove_disk)
        self.addCleanup(self.world.close)
        self.disk.mkdir()
        harness.run("mount", "-t", "tmpfs", "-o", "size=48m,mode=0755", "tmpfs", self.disk)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", cases_path.NAMESPACE)
        self.repository.write("app/web.yaml", cases_path.WEB.replace(
            "progressDeadlineSeconds: 8", "progressDeadlineSeconds: 600"))
        self.repository.push("Start the shop")
        self.daemon = self.world.daemon(
            "node", "--git", self.repository.url, "--branch", "main", "--path", "app")
        self.daemon.output = self.world.directory / "daemon.log"
        self.root = cases_path.make_root(self.world.directory)

    def begin(self):
        self.daemon.start()
        self.daemon.import_image(cases_path.IMAGE, self.root)
        self.ready(2)
        self.address = self.daemon.get("service", "web", "-n", "shop")["spec"]["clusterIP"]
        self.before = self.pids()

    def remove_disk(self):
        harness.run("umount", "--lazy", self.disk, check=False)
        shutil.rmtree(self.world.directory, ignore_errors=True)

    def ready(self, count, timeout=90):
        return eventually(
            f"{count} ready web pods",
            lambda: (lambda pods: pods if len(pods) == count else None)(
                self.daemon.ready_pods("shop", "app=web")), timeout)

    def pids(self):
        """The process of every pod, by uid."""
        found = {}
        for directory in (self.daemon.run_dir / "pods").iterdir():
            states = sorted(directory.glob("c/*/*/state.json"))
            if states:
                found[directory.name] = json.loads(states[-1].read_text())["pid"]
        return found

    def push_three(self):
        self.repository.replace("app/web.yaml", "replicas: 2", "replicas: 3")
        self.repository.push("Scale up")

    def expect_whole(self, loop):
        """Three pods, the first two never touched, nobody turned away, and the chain holds."""
        pods = {pod["metadata"]["uid"]: pod for pod in self.ready(3)}
        after = self.pids()
        self.assertEqual({uid: after[uid] for uid in self.before}, self.before)
        for uid in self.before:
            self.assertEqual(pods[uid]["status"]["containerStatuses"][0]["restartCount"], 0)
        self.assertEqual(loop.stop()["bad"], [])
        self.daemon.ctl("audit", "verify", "--state-dir", self.daemon.state_dir)
        self.assertEqual(self.daemon.invariants(), "")

    def says(self, *words):
        text = self.daemon.output.read_text(errors="replace")
        return any(word in text for word in words)

    def fill(self):
        """Takes the last byte."""
        with open(self.disk / "filler", "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def test_a_full_disk_holds_changes_until_there_is_room(self):
        self.begin()
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.fill()
        self.push_three()
        eventually("the word of the full store", lambda: self.says("StoreFull", "cannot grow"))
        self.assertEqual(len(self.daemon.pods("shop", "app=web")), 2)
        self.assertEqual(self.pids(), self.before)
        pod = self.daemon.pods("shop", "app=web")[0]["metadata"]["name"]
        refused = self.daemon.ctl("exec", "-n", "shop", pod, "--", "true", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("nothing was done", refused.stderr)
        (self.disk / "filler").unlink()
        self.expect_whole(loop)

    def test_a_start_on_a_full_disk_is_refused_and_goes_on_with_room(self):
        self.begin()
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.daemon.kill()
        self.fill()
        self.push_three()
        with contextlib.suppress(harness.Failed):
            self.daemon.start()
        self.assertEqual(self.pids(), self.before)
        (self.disk / "filler").unlink()
        if self.daemon.process.poll() is not None:
            self.daemon.start()
        self.expect_whole(loop)

    def test_without_descriptors_nothing_is_lost(self):
        self.begin()
        loop = harness.RequestLoop(self.world, self.address, 80)
        pid = self.daemon.process.pid
        limit = harness.run("prlimit", "--pid", pid, "--nofile", "--output=SOFT,HARD",
                            "--noheadings").stdout.split()
        used = len(os.listdir(f"/proc/{pid}/fd"))
        harness.run("prlimit", "--pid", pid, f"--nofile={used + 1}:{limit[1]}")
        self.push_three()
        eventually("the word of missing descriptors",
                   lambda: self.says("Too many open files"), 60)
        self.assertIsNone(self.daemon.process.poll(), self.daemon.tail())
        self.assertEqual({uid: self.pids()[uid] for uid in self.before}, self.before)
        harness.run("prlimit", "--pid", pid, f"--nofile={limit[0]}:{limit[1]}")
        self.expect_whole(loop)

    @unittest.skipUnless(PIDS.is_dir(), "needs the pids controller of cgroup v1")
    def test_without_processes_nothing_is_lost(self):
        self.begin()
        loop = harness.RequestLoop(self.world, self.address, 80)
        group = PIDS / self.world.namespace
        group.mkdir()
        self.addCleanup(group.rmdir)
        pid = self.daemon.process.pid
        (group / "cgroup.procs").write_text(str(pid))
        self.addCleanup(self.leave, pid)
        (group / "pids.max").write_text((group / "pids.current").read_text())
        self.push_three()
        eventually("the word of missing processes",
                   lambda: self.says("Resource temporarily unavailable"), 60)
        self.assertIsNone(self.daemon.process.poll(), self.daemon.tail())
        self.assertEqual({uid: self.pids()[uid] for uid in self.before}, self.before)
        (group / "pids.max").write_text("max")
        self.expect_whole(loop)
        self.leave(pid)

    @staticmethod
    def leave(pid):
        """Everything in the test's group goes back to the root group."""
        group = pathlib.Path("/proc") / str(pid) / "cgroup"
        with contextlib.suppress(OSError):
            for row in group.read_text().splitlines():
                if row.split(":")[1] == "pids" and "moored-e2e" in row:
                    for other in (PIDS / row.split(":")[2].lstrip("/") / "cgroup.procs"
                                  ).read_text().split():
                        (PIDS / "cgroup.procs").write_text(other)

    @unittest.skipUnless(FAKETIME.exists(), "needs libfaketime")
    def test_a_clock_that_jumps_changes_nothing_for_pods(self):
        clock = self.world.directory / "clock"
        clock.write_text("+0")
        self.daemon.arguments = [
            "env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1",
            *self.daemon.arguments]
        self.begin()
        loop = harness.RequestLoop(self.world, self.address, 80)
        # Ten years on, an hour back, and right again: no expiry, no restart, no doubled event.
        for number, jump in enumerate(("+3650d", "-1h", "+0")):
            clock.write_text(jump)
            self.repository.write("app/note.yaml", f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: note, namespace: shop}}
data: {{number: "{number}"}}
""")
            self.repository.push(f"Note {number}")
            eventually("the commit taken under another clock", lambda wanted=str(number): (
                self.daemon.get("configmap", "note", "-n", "shop")["data"]["number"] == wanted))
            self.ready(2)
            self.assertEqual(self.pids(), self.before)
        self.push_three()
        self.expect_whole(loop)
        self.daemon.kill(signal.SIGTERM)
        clock.write_text("-2d")
        self.daemon.start()
        self.ready(3)
        after = self.pids()
        self.assertEqual({uid: after[uid] for uid in self.before}, self.before)


if __name__ == "__main__":
    unittest.main()
