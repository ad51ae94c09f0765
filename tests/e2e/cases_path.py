"""One real path: git push, running pods, kubectl, rollouts, refusals, drift, removal."""
import json
import os
import signal
import subprocess
import time
import unittest

import harness
from harness import eventually

IMAGE = "test/web:1"
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: shop
"""
# A web server and a way to change what it answers, from busybox alone.
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 8
  selector:
    matchLabels: {app: web}
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: web
          image: test/web:1
          command: ["/bin/sh", "-c"]
          args:
            - |
              trap 'exit 0' TERM
              mkdir -p /tmp/www && echo "$GREETING" > /tmp/www/version
              httpd -p 8080 -h /tmp/www
              echo serving $GREETING
              while :; do sleep 0.2; done
          env:
            - name: GREETING
              value: one
          ports:
            - {name: http, containerPort: 8080}
          readinessProbe:
            httpGet: {path: /version, port: http}
            periodSeconds: 1
          lifecycle:
            preStop:
              exec: {command: [sleep, "1"]}
          resources:
            requests: {cpu: 10m, memory: 8Mi}
            limits: {memory: 32Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: http}
"""
JOBLIKE = """\
apiVersion: v1
kind: Pod
metadata:
  name: once
  namespace: shop
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: test/web:1
      command: [sh, -c, "echo line one; echo line two; exit 3"]
"""


def make_root(directory):
    """A root directory of busybox and its applets: an image without a registry."""
    root = directory / "root"
    (root / "bin").mkdir(parents=True)
    for name in ("etc", "tmp", "proc", "sys", "dev", "run", "var"):
        (root / name).mkdir()
    busybox = "/bin/busybox"
    harness.run("cp", busybox, root / "bin/busybox")
    for applet in harness.run(busybox, "--list").stdout.split():
        if applet != "busybox":
            os.symlink("busybox", root / "bin" / applet)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    os.chmod(root / "tmp", 0o1777)
    return root


class Path(unittest.TestCase):
    """Every case starts from two ready web pods behind one Service."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", NAMESPACE)
        self.repository.write("app/web.yaml", WEB)
        self.repository.push("Start the shop")
        self.daemon = self.world.daemon(
            "node", "--git", self.repository.url, "--branch", "main", "--path", "app")
        self.daemon.start()
        self.daemon.import_image(IMAGE, make_root(self.world.directory))
        self.ready(2)
        self.address = self.daemon.get("service", "web", "-n", "shop")["spec"]["clusterIP"]

    def tearDown(self):
        findings = self.daemon.invariants()
        self.assertEqual(findings, "", "the checker speaks")

    def ready(self, count, timeout=60):
        return eventually(
            f"{count} ready web pods",
            lambda: (lambda pods: pods if len(pods) == count else None)(
                self.daemon.ready_pods("shop", "app=web")), timeout)

    def settled(self, count=2, timeout=60):
        """Ready, and nobody else left."""
        eventually(f"only {count} web pods",
                   lambda: len(self.daemon.pods("shop", "app=web")) == count, timeout)
        return self.ready(count, timeout)

    def answer(self, path="/version"):
        return self.world.http(f"http://{self.address}{path}").strip()

    def unit_condition(self, kind="Ready"):
        unit = self.daemon.get("kustomizations.kustomize.toolkit.fluxcd.io", "default",
                               "-n", "moored-system")
        return next((row for row in unit["status"]["conditions"] if row["type"] == kind), None)

    def unit_failed(self, *words):
        def check():
            row = self.unit_condition()
            text = row["reason"] + " " + row["message"]
            return row["status"] == "False" and all(word in text for word in words) and row
        return eventually(f"a failed unit that says {words}", check)

    def test_service_answers_and_kubectl_reads(self):
        self.assertEqual(self.answer(), "one")
        wide = self.daemon.kubectl("get", "pods", "-A", "-o", "wide", "-l", "app=web").stdout
        self.assertIn("NOMINATED NODE", wide)
        self.assertEqual(wide.count("Running"), 2, wide)
        self.assertIn("2/2", self.daemon.kubectl("get", "deploy", "-n", "shop").stdout)
        described = self.daemon.kubectl("describe", "deployment", "web", "-n", "shop").stdout
        self.assertIn("2 desired | 2 updated | 2 total | 2 available", described)
        self.assertIn("kind: Deployment",
                      self.daemon.kubectl("get", "deploy/web", "-n", "shop", "-o", "yaml").stdout)
        self.daemon.kubectl("rollout", "status", "deployment/web", "-n", "shop", "--timeout=20s")
        self.daemon.kubectl("wait", "--for=condition=Available", "deployment/web", "-n", "shop",
                            "--timeout=20s")
        for kind in ("pods", "nodes", "services", "endpoints", "replicasets", "events"):
            self.daemon.kubectl("describe", kind, "-A")

    def test_logs_follow_and_watch_stream(self):
        pod = self.ready(2)[0]["metadata"]["name"]
        self.assertIn("serving one",
                      self.daemon.kubectl("logs", "-n", "shop", pod).stdout)
        lines = []
        watch = subprocess.Popen(
            self.world.inside(harness.NEW_KUBECTL, "-s", f"http://127.0.0.1:{self.daemon.port}",
                              "get", "pods", "-n", "shop", "-w"),
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.kill)
        harness.follow(watch, lines)
        eventually("the first rows of the watch", lambda: len(lines) >= 3)
        self.repository.replace("app/web.yaml", "replicas: 2", "replicas: 3")
        self.repository.push("Scale up")
        self.daemon.sync()
        self.ready(3)
        eventually("the new pod in the watch",
                   lambda: len({line.split()[0] for line in lines[1:]}) >= 3)

    def test_writes_name_the_repository(self):
        refused = self.daemon.kubectl("delete", "deployment", "web", "-n", "shop", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("read-only", refused.stderr)
        self.assertIn(self.repository.url, refused.stderr)
        self.assertIn("main", refused.stderr)

    def test_a_push_rolls_without_a_failed_request(self):
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.repository.replace("app/web.yaml", "value: one", "value: two")
        sha = self.repository.push("Say two")
        self.daemon.sync()
        eventually("the new answer", lambda: self.answer() == "two")
        self.settled()
        result = loop.stop()
        self.assertEqual(result["bad"], [])
        self.assertGreater(result["seen"].get("two", 0), 0)
        receipt = self.daemon.report("trace", sha[:10])
        steps = [row["name"] for row in receipt["steps"]]
        for step in ("seen", "fetched", "rendered", "validated", "planned", "committed",
                     "scheduled", "started", "ready"):
            self.assertIn(step, steps)

    def test_a_typo_is_refused_with_its_place(self):
        before = {pod["metadata"]["uid"] for pod in self.ready(2)}
        self.repository.replace("app/web.yaml", "  replicas: 2", "  replica: 2")
        self.repository.push("Mistype a field")
        self.unit_failed("UnknownField", "app/web.yaml:8:3", "spec.replica", "replicas")
        self.assertEqual(self.answer(), "one")
        self.assertEqual({pod["metadata"]["uid"] for pod in self.ready(2)}, before)
        self.repository.git("revert", "--no-edit", "HEAD")
        self.repository.push("Back")
        self.daemon.sync()
        eventually("a well unit", lambda: self.unit_condition()["status"] == "True")

    def test_a_missing_image_leaves_the_old_pods(self):
        before = {pod["metadata"]["uid"] for pod in self.ready(2)}
        self.repository.replace("app/web.yaml", "image: test/web:1", "image: test/absent:9")
        sha = self.repository.push("Use an image that does not exist")
        eventually("the word of the missing image", lambda: any(
            status.get("state", {}).get("waiting", {}).get("reason") in
            ("ErrImagePull", "ImagePullBackOff")
            for pod in self.daemon.pods("shop", "app=web")
            for status in pod["status"].get("containerStatuses", [])))
        eventually("a failed revision",
                   lambda: self.daemon.report("trace", sha).get("outcome") == "failed")
        self.assertEqual(self.answer(), "one")
        self.assertTrue(before <= {pod["metadata"]["uid"] for pod in self.ready(2)})
        self.repository.git("revert", "--no-edit", "HEAD")
        self.repository.push("Back")
        self.daemon.sync()
        self.settled()

    def test_a_failing_probe_leaves_the_old_pods(self):
        before = {pod["metadata"]["uid"] for pod in self.ready(2)}
        self.repository.replace("app/web.yaml", "path: /version, port", "path: /nothing, port")
        sha = self.repository.push("Probe a page that does not exist")
        eventually("a failed revision",
                   lambda: self.daemon.report("trace", sha).get("outcome") == "failed")
        self.assertEqual(self.answer(), "one")
        self.assertTrue(before <= {pod["metadata"]["uid"] for pod in self.ready(2)})
        self.repository.git("revert", "--no-edit", "HEAD")
        self.repository.push("Back")
        self.daemon.sync()
        self.settled()

    def test_a_killed_process_is_healed_and_recorded_once(self):
        pod = self.ready(2)[0]
        name = pod["metadata"]["name"]
        victim = self.container_pid(pod)
        os.kill(victim, signal.SIGKILL)
        eventually("a restarted container", lambda: any(
            status["restartCount"] == 1 and status["ready"]
            for row in self.daemon.pods("shop", "app=web") if row["metadata"]["name"] == name
            for status in row["status"]["containerStatuses"]))
        records = eventually("a corrected drift record", lambda: [
            row for row in self.daemon.report("drift")["items"]
            if name in row["object"] and row["field"].startswith("process") and
            row.get("correction")])
        self.assertEqual(len(records), 1)
        told = [(event["reason"], event["count"])
                for event in self.daemon.get("events", "-n", "shop")["items"]
                if event["involvedObject"]["name"] == name and "Drift" in event["reason"]]
        self.assertEqual(sorted(told), [("DriftCorrected", 1), ("DriftDetected", 1)])

    def container_pid(self, pod):
        uid = pod["metadata"]["uid"]
        states = list((self.daemon.run_dir / "pods" / uid).glob("c/*/*/state.json"))
        return json.loads(states[-1].read_text())["pid"]

    def test_a_kill_of_the_daemon_leaves_pods_alone(self):
        pods = {pod["metadata"]["uid"]: self.container_pid(pod) for pod in self.ready(2)}
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.daemon.kill()
        for pid in pods.values():
            os.kill(pid, 0)
        self.repository.replace("app/web.yaml", "replicas: 2", "replicas: 3")
        self.repository.push("Pushed while nobody looked")
        self.daemon.start()
        self.ready(3)
        after = {pod["metadata"]["uid"]: pod for pod in self.ready(3)}
        for uid, pid in pods.items():
            self.assertEqual(self.container_pid(after[uid]), pid)
            self.assertEqual(after[uid]["status"]["containerStatuses"][0]["restartCount"], 0)
        self.assertEqual(loop.stop()["bad"], [])

    def test_removing_a_file_removes_just_its_objects(self):
        self.repository.write("app/extra.yaml", JOBLIKE)
        sha = self.repository.push("Run once")
        self.daemon.ctl("sync")
        eventually("the end of the pod", lambda: self.daemon.get(
            "pod", "once", "-n", "shop")["status"]["phase"] == "Failed")
        # A pod that never restarts and failed is what the revision comes to.
        eventually("the revision's outcome",
                   lambda: self.daemon.report("trace", sha)["outcome"] == "failed")
        terminated = self.daemon.get("pod", "once", "-n", "shop")["status"]["containerStatuses"][0][
            "state"]["terminated"]
        self.assertEqual((terminated["exitCode"], terminated["reason"]), (3, "Error"))
        self.assertEqual(self.daemon.kubectl("logs", "-n", "shop", "once").stdout,
                         "line one\nline two\n")
        before = {pod["metadata"]["uid"] for pod in self.ready(2)}
        self.repository.remove("app/extra.yaml")
        self.repository.push("Remove it")
        self.daemon.sync()
        eventually("the pod gone", lambda: not any(
            pod["metadata"]["name"] == "once" for pod in self.daemon.pods("shop")))
        self.assertEqual({pod["metadata"]["uid"] for pod in self.ready(2)}, before)

    def test_what_is_removed_may_come_back_at_once(self):
        self.settled()
        text = (JOBLIKE.replace("echo line one; echo line two; exit 3",
                                "trap '' TERM; while :; do sleep 0.2; done")
                .replace("restartPolicy: Never", "terminationGracePeriodSeconds: 3"))
        self.repository.write("app/stubborn.yaml", text)
        self.repository.push("Add a pod that takes its time")
        self.daemon.sync()
        first = self.daemon.get("pod", "once", "-n", "shop")["metadata"]["uid"]
        self.repository.remove("app/stubborn.yaml")
        self.repository.push("Remove it")
        self.daemon.ctl("sync")
        eventually("the removal", lambda: "deletionTimestamp" in self.daemon.get(
            "pod", "once", "-n", "shop")["metadata"])
        self.repository.write("app/stubborn.yaml", text)
        self.repository.push("Add it again")
        self.daemon.sync()
        second = self.daemon.get("pod", "once", "-n", "shop")["metadata"]
        self.assertNotEqual(first, second["uid"])
        self.assertNotIn("deletionTimestamp", second)

    def test_an_empty_tree_removes_nothing(self):
        before = {pod["metadata"]["uid"] for pod in self.ready(2)}
        self.repository.remove("app/web.yaml")
        self.repository.remove("app/namespace.yaml")
        self.repository.write("app/README", "nothing left\n")
        self.repository.push("Remove everything")
        self.unit_failed("PruneGuard")
        self.assertEqual({pod["metadata"]["uid"] for pod in self.ready(2)}, before)
        self.assertEqual(self.answer(), "one")

    def test_a_branch_is_planned_before_it_is_merged(self):
        self.repository.git("checkout", "-q", "-b", "change")
        self.repository.replace("app/web.yaml", "value: one", "value: planned")
        self.repository.push("Plan me", branch="change")
        planned = self.daemon.ctl("plan", "--ref", "change", check=False)
        self.assertEqual(planned.returncode, 2, planned.stdout + planned.stderr)
        self.assertIn("Deployment", planned.stdout)
        self.assertIn("planned", planned.stdout)
        self.assertEqual(self.daemon.ctl("plan", "--ref", "main", check=False).returncode, 0)
        markdown = self.daemon.ctl("plan", "--ref", "change", "-o", "markdown", check=False)
        self.assertIn("|", markdown.stdout)
        # A tag by its plain name, and a commit by the digits that status shows of it.
        sha = self.repository.git("rev-parse", "change").strip()
        self.repository.git("tag", "v1", "change")
        self.repository.git("push", "-q", "origin", "v1")
        for name in ("v1", sha[:8], sha):
            again = self.daemon.ctl("plan", "--ref", name, check=False)
            self.assertEqual(again.returncode, 2, again.stdout + again.stderr)
            self.assertIn("planned", again.stdout)
        for name in ("nowhere", "0123456"):
            missing = self.daemon.ctl("plan", "--ref", name, check=False)
            self.assertEqual(missing.returncode, 1)
            self.assertIn("RefNotFound", missing.stderr)
        self.assertEqual(self.answer(), "one")

    def test_memory_limit_changed_by_hand_is_put_right(self):
        pod = self.ready(2)[0]
        uid = pod["metadata"]["uid"]
        found = subprocess.run(
            ["find", "/sys/fs/cgroup", "-path", f"*{uid}*", "(", "-name",
             "memory.limit_in_bytes", "-o", "-name", "memory.max", ")"],
            capture_output=True, text=True, check=False).stdout.split()
        self.assertTrue(found)
        limit = sorted(found, key=len)[-1]
        with open(limit, encoding="ascii") as file:
            wanted = file.read()
        with open(limit, "w", encoding="ascii") as file:
            file.write(str(16 << 20))
        def restored():
            with open(limit, encoding="ascii") as file:
                return file.read() == wanted
        eventually("the limit put right", restored, 60)
        records = eventually("its record", lambda: [
            row for row in self.daemon.report("drift")["items"] if "memory" in row["field"]])
        self.assertEqual(len(records), 1)

    def test_exec_runs_in_the_container_and_is_audited(self):
        name = self.ready(2)[0]["metadata"]["name"]
        out = self.daemon.ctl("exec", "-n", "shop", name, "--", "cat", "/tmp/www/version").stdout
        self.assertEqual(out.strip(), "one")
        failed = self.daemon.ctl("exec", "-n", "shop", name, "--", "sh", "-c", "exit 7", check=False)
        self.assertEqual(failed.returncode, 7)


class SideBySide(unittest.TestCase):
    """Two daemons on one machine do not disturb each other."""

    def test_two_daemons(self):
        worlds = []
        for _ in range(2):
            world = harness.World()
            self.addCleanup(world.close)
            repository = harness.Repository(world)
            repository.write("app/namespace.yaml", NAMESPACE)
            repository.write("app/web.yaml", WEB)
            repository.push("Start")
            daemon = world.daemon("node", "--git", repository.url, "--path", "app")
            daemon.start()
            daemon.import_image(IMAGE, make_root(world.directory))
            worlds.append((world, daemon))
        for world, daemon in worlds:
            eventually("two ready pods",
                       lambda d=daemon: len(d.ready_pods("shop", "app=web")) == 2)
        first, second = worlds[0][1], worlds[1][1]
        before = {pod["metadata"]["uid"] for pod in second.ready_pods("shop")}
        first.down()
        self.assertEqual({pod["metadata"]["uid"] for pod in second.ready_pods("shop")}, before)
        self.assertEqual(second.invariants(), "")


class Offline(unittest.TestCase):
    """moorctl validate needs no daemon."""

    def setUp(self):
        self.directory = harness.pathlib.Path(harness.tempfile.mkdtemp(prefix="moored-e2e-"))
        self.addCleanup(harness.shutil.rmtree, self.directory)

    def validate(self):
        return harness.run(harness.BIN / "moorctl", "validate", self.directory, check=False)

    def test_good_manifests_pass(self):
        (self.directory / "a.yaml").write_text(NAMESPACE + "---\n" + WEB)
        result = self.validate()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_mistake_is_named(self):
        (self.directory / "a.yaml").write_text(NAMESPACE + "---\n" + WEB.replace(
            "replicas: 2", "replica: 2").replace("value: one", "value: 1"))
        result = self.validate()
        self.assertEqual(result.returncode, 1)
        text = result.stdout + result.stderr
        self.assertIn("a.yaml:13:3", text)
        self.assertIn("did you mean replicas?", text)
        self.assertIn("quote it", text)


if __name__ == "__main__":
    unittest.main()
