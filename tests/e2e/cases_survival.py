"""What runs survives the loss of what is recorded about it."""
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import unittest

import cases_path
import harness
from harness import eventually

OTHER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: main, image: "test/web:1", command: [sleep, "100000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: shop, labels: {app: alone}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: test/web:1
      command: [sleep, "100000"]
      volumeMounts: [{name: words, mountPath: /words}]
  volumes:
    - {name: words, configMap: {name: words}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words, namespace: shop}
data: {word: kept}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old, namespace: shop}
spec:
  replicas: 1
  selector: {app: old}
  template:
    metadata: {labels: {app: old}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: main, image: "test/web:1", command: [sleep, "100000"]}
"""
NOTE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: note, namespace: shop}
data: {text: "news"}
"""


class Survival(unittest.TestCase):
    """Two web pods behind a Service, a pod of its own and two more workloads."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", cases_path.NAMESPACE)
        self.repository.write("app/web.yaml", cases_path.WEB)
        self.repository.write("app/other.yaml", OTHER)
        self.repository.push("Start the shop")
        self.daemon = self.world.daemon(
            "node", "--git", self.repository.url, "--branch", "main", "--path", "app")
        self.daemon.start()
        self.daemon.import_image(cases_path.IMAGE, cases_path.make_root(self.world.directory))
        self.ready(5)
        self.address = self.daemon.get("service", "web", "-n", "shop")["spec"]["clusterIP"]

    def tearDown(self):
        self.assertEqual(self.daemon.invariants(), "", "the checker speaks")

    def ready(self, count, selector=""):
        return eventually(
            f"{count} ready pods",
            lambda: (lambda pods: pods if len(pods) == count else None)(
                self.daemon.ready_pods("shop", selector)), 60)

    def running(self):
        """Every pod with its process, as the machine has them: uid to (name, pid, start time)."""
        found = {}
        for directory in (self.daemon.run_dir / "pods").iterdir():
            states = sorted(directory.glob("c/*/*/state.json"))
            pid = json.loads(states[-1].read_text())["pid"]
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                found[directory.name] = (pid, stat.read().rsplit(")", 1)[1].split()[19])
        return found

    def store_files(self):
        return list((self.daemon.state_dir / "store").glob("moored.db*"))

    def sets(self):
        return {row["metadata"]["name"]: row["metadata"]["uid"]
                for row in self.daemon.get("replicasets", "-n", "shop")["items"]}

    def condition(self):
        for row in self.daemon.get("node", "node")["status"]["conditions"]:
            if row["type"] == "Recovering":
                return row
        return None

    def recovered(self):
        def check():
            row = self.condition()
            return row and row["status"] == "False" and row
        return eventually("the end of the recovery", check, 60)

    def expect_adopted(self, before, sets):
        """The same pods in the same processes, never started again, all of them claimed."""
        self.assertEqual(self.running(), before)
        pods = self.ready(5)
        self.assertEqual({pod["metadata"]["uid"] for pod in pods}, set(before))
        for pod in pods:
            self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0)
            self.assertNotIn("moored.dev/recovered", pod["metadata"].get("annotations", {}))
        self.assertEqual(self.sets(), sets)
        for row in self.daemon.get("replicasets", "-n", "shop")["items"]:
            self.assertEqual(row["metadata"]["ownerReferences"][0]["kind"], "Deployment")
        self.assertEqual(self.daemon.get("rc", "old", "-n", "shop")["status"]["replicas"], 1)

    def lose_and_expect_adoption(self, lose):
        before, sets = self.running(), self.sets()
        version = self.daemon.report("status")["resourceVersion"]
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.daemon.kill()
        lose()
        self.daemon.start()
        self.recovered()
        self.expect_adopted(before, sets)
        self.assertEqual(loop.stop()["bad"], [])
        self.assertGreater(self.daemon.report("status")["resourceVersion"], version)
        events = self.daemon.get("events", "-n", "default")["items"]
        self.assertEqual([row["count"] for row in events if row["reason"] == "StoreLost"], [1])
        first = self.daemon.report("history", "--limit", "10000")["items"][-1]
        self.assertRegex(first["cause"], "follows a lost one that ended at row [0-9]+ ")

    def test_a_removed_database_is_made_again_from_what_runs(self):
        def lose():
            for path in self.store_files():
                path.unlink()
        self.lose_and_expect_adoption(lose)
        # What was taken over is looked after as before.
        self.repository.replace("app/web.yaml", "value: one", "value: two")
        self.repository.push("Say two")
        self.daemon.sync()
        eventually("the new answer", lambda: self.world.http(
            f"http://{self.address}/version").strip() == "two")

    def test_a_database_of_garbage_is_set_aside(self):
        def lose():
            for path in self.store_files():
                path.write_bytes(os.urandom(8192))
        self.lose_and_expect_adoption(lose)
        kept = list((self.daemon.state_dir / "store").glob("lost-*"))
        self.assertEqual(len(kept), 1)
        self.assertRegex(kept[0].name, "^lost-[0-9]{8}T[0-9]{6}Z$")
        self.assertEqual((kept[0] / "moored.db").stat().st_size, 8192)

    def test_without_its_whole_directory_the_store_is_made_again(self):
        before, sets = self.running(), self.sets()
        self.daemon.kill()
        shutil.rmtree(self.daemon.state_dir / "store")
        self.daemon.start()
        self.recovered()
        self.expect_adopted(before, sets)

    def test_damage_under_the_running_daemon_makes_it_start_anew(self):
        before, sets = self.running(), self.sets()
        pid = self.daemon.process.pid
        # The pages go away under its feet: what SQLite has not cached is garbage from now on.
        for path in self.store_files():
            if path.name != "moored.db-shm":
                with open(path, "r+b") as file:
                    file.write(os.urandom(path.stat().st_size))
        self.repository.write("app/note.yaml", NOTE)
        self.repository.push("Bring news")
        def rebuilt():
            self.daemon.port = int(json.loads((self.daemon.run_dir / "api.json").read_text())[
                "listen"].rsplit(":", 1)[1])
            row = self.condition()
            return row and row["status"] == "False"
        eventually("the rebuilt store", rebuilt, 60)
        self.assertEqual(self.daemon.process.pid, pid)
        self.assertIsNone(self.daemon.process.poll())
        self.expect_adopted(before, sets)
        self.daemon.get("configmap", "note", "-n", "shop")

    def test_without_git_everything_goes_on_as_it_was(self):
        before, sets = self.running(), self.sets()
        server = self.world.children[0]
        os.killpg(server.pid, signal.SIGSTOP)
        self.addCleanup(os.killpg, server.pid, signal.SIGCONT)
        self.daemon.kill()
        for path in self.store_files():
            path.unlink()
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.daemon.start()
        # A process that dies meanwhile is started again, as nothing of Git is needed for that.
        other = next(pod for pod in self.daemon.pods("shop", "app=other"))
        os.kill(before.pop(other["metadata"]["uid"])[0], signal.SIGKILL)
        eventually("a restarted container", lambda: self.daemon.pods("shop", "app=other")[0][
            "status"]["containerStatuses"][0]["restartCount"] == 1)
        self.assertEqual(self.condition()["reason"], "WaitingForGit")
        self.assertIn("WaitingForGit", self.daemon.ctl("status", check=False).stdout)
        os.killpg(server.pid, signal.SIGCONT)
        self.recovered()
        self.assertEqual(loop.stop()["bad"], [])
        after = self.running()
        self.assertEqual({uid: after[uid] for uid in before}, before)
        self.assertEqual(self.sets(), sets)

    def test_what_git_took_back_meanwhile_goes_and_what_it_changed_rolls(self):
        self.daemon.kill()
        for path in self.store_files():
            path.unlink()
        self.repository.replace("app/web.yaml", "value: one", "value: two")
        text = (self.repository.tree / "app/other.yaml").read_text()
        self.repository.write("app/other.yaml", text.split("---\n", 1)[1])
        self.repository.push("Change one, remove one")
        loop = harness.RequestLoop(self.world, self.address, 80)
        self.daemon.start()
        self.recovered()
        eventually("the new answer", lambda: self.world.http(
            f"http://{self.address}/version").strip() == "two")
        eventually("the removed pod gone", lambda: not self.daemon.pods("shop", "app=other"))
        eventually("two web pods", lambda: len(self.daemon.pods("shop", "app=web")) == 2)
        self.assertEqual(loop.stop()["bad"], [])
        self.ready(4)

    def test_an_emptied_tree_takes_nothing_away(self):
        before = self.running()
        self.daemon.kill()
        for path in self.store_files():
            path.unlink()
        self.repository.remove("app/web.yaml")
        self.repository.remove("app/other.yaml")
        self.repository.push("Remove nearly everything")
        self.daemon.start()
        row = eventually("a held removal", lambda: (
            lambda found: found if found and found["reason"] == "PruneGuard" else None)(
                self.condition()))
        self.assertIn("moorctl confirm recovered", row["message"])
        self.assertEqual(self.running(), before)
        self.daemon.ctl("confirm", "recovered")
        eventually("nothing left", lambda: not self.daemon.pods("shop"))
        self.recovered()

    def audit(self, *arguments, check=True):
        return self.daemon.ctl("audit", *arguments, "--state-dir", self.daemon.state_dir,
                               check=check)

    def test_the_audit_chain_is_verified_beside_the_daemon_and_without_it(self):
        noted = self.audit("head").stdout.strip()
        self.assertRegex(noted, "^[0-9]+:[0-9a-f]{64}$")
        for _ in range(5):
            self.daemon.ctl("exec", "-n", "shop", "alone", "--", "true")
            self.audit("verify", "--head", noted)
        rows = [json.loads(line) for line in self.audit("export").stdout.splitlines()]
        self.assertEqual([row["seq"] for row in rows], list(range(1, len(rows) + 1)))
        before = "0" * 64
        for row in rows:
            text = f"{before}\n{row['seq']}\n{row['json']}"
            before = hashlib.sha256(text.encode()).hexdigest()
            self.assertEqual(row["hash"], before)
        execs = [acted for row in rows for acted in json.loads(row["json"]).get("operators", [])
                 if acted["verb"] == "exec"]
        self.assertEqual([acted["result"] for acted in execs], ["asked", "done"] * 5)
        wrong = self.audit("verify", "--head", noted[:-1] + ("0" if noted[-1] != "0" else "1"),
                           check=False)
        self.assertEqual(wrong.returncode, 1)
        self.daemon.kill()
        with contextlib.closing(sqlite3.connect(self.daemon.state_dir / "store/moored.db")) as db:
            db.execute("UPDATE audit SET canonical_json = replace(canonical_json, 'exec', 'peek') "
                       "WHERE seq = ?", (len(rows),))
            db.commit()
        found = self.audit("verify", check=False)
        self.assertEqual(found.returncode, 1)
        self.assertIn(f"AuditBroken: audit row {len(rows)} was edited", found.stderr)
        self.daemon.start()

    def test_a_backup_brings_the_shop_back_on_an_empty_machine(self):
        file = self.world.directory / "backup"
        self.daemon.ctl("backup", file, "--state-dir", self.daemon.state_dir,
                        "--config", self.world.directory / "none.yaml")
        again = self.daemon.ctl("backup", file, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("exists", again.stderr)
        uids = {pod["metadata"]["uid"] for pod in self.daemon.pods("shop")}
        address = self.daemon.get("service", "web", "-n", "shop")["spec"]["clusterIP"]
        refused = self.daemon.ctl("restore", file, "--state-dir", self.daemon.state_dir,
                                  "--config", self.world.directory / "none.yaml", check=False)
        self.assertIn("a daemon runs", refused.stderr)
        self.daemon.down()
        # No Git either: everything comes out of the backup but the image.
        os.killpg(self.world.children[0].pid, signal.SIGKILL)
        for path in (self.daemon.run_dir, self.daemon.state_dir, self.daemon.log_dir):
            path.mkdir(exist_ok=True)
        self.daemon.ctl("restore", file, "--state-dir", self.daemon.state_dir,
                        "--config", self.world.directory / "none.yaml")
        self.daemon.start()
        self.daemon.import_image(cases_path.IMAGE, self.world.directory / "root")
        pods = self.ready(5)
        self.assertEqual({pod["metadata"]["uid"] for pod in pods}, uids)
        self.assertEqual(self.daemon.get("service", "web", "-n", "shop")["spec"]["clusterIP"],
                         address)
        eventually("an answer", lambda: self.world.http(f"http://{address}/version") == "one\n")
        self.audit("verify")
        causes = [row["cause"] for row in self.daemon.report("history", "--limit", "10000")["items"]]
        self.assertTrue(any("restored from a backup of" in cause for cause in causes))
