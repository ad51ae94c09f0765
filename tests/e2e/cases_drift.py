"""Drift from the outside: changes made by hand on a running pod, and what is on the record."""
import json
import os
import pathlib
import re
import subprocess
import time
import unittest

import cases_api
import cases_path
import harness
from cases_path import IMAGE, NAMESPACE
from harness import eventually

WAIT = 90  # the longest sweep is 30 s
# How long nothing happens in the test of that: two sweeps, or as long as one likes.
IDLE_SECONDS = 60 * float(os.environ.get("MOORED_IDLE_MINUTES", "1.1"))
SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  namespace: shop
  annotations: {moored.dev/drift: "MODE"}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: room, emptyDir: {}}]
  containers:
    - name: main
      image: test/web:1
      command: [/bin/sh, -c, "SLEEP"]
      volumeMounts: [{name: room, mountPath: /room, readOnly: true}]
      securityContext: {readOnlyRootFilesystem: READONLY, allowPrivilegeEscalation: false}
      readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
      resources:
        requests: {cpu: 50m, memory: 16Mi}
        limits: {cpu: 500m, memory: 64Mi}
""".replace("SLEEP", SLEEP)
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80}]
"""


# One pod for each kind of probe, behind the Service.
PROBED = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: test/web:1
      command: [/bin/sh, -c]
      args: ["trap 'exit 0' TERM; httpd -p 80 -h /etc; nc -ll -p 9000 -e /bin/health &
              while :; do sleep 0.1; done"]
      readinessProbe: {PROBE, periodSeconds: 1}
      livenessProbe: {PROBE, periodSeconds: 2}
"""
PROBES = {"http": "httpGet: {path: /passwd, port: 80}", "tcp": "tcpSocket: {port: 80}",
          "exec": "exec: {command: [test, -d, /etc]}", "grpc": "grpc: {port: 9000}"}


# What a gRPC health service answers, as busybox has none: settings, their acknowledgement, headers,
# a message that says SERVING, and trailers.
HEALTHY = (b"\0\0\0\4\0\0\0\0\0" b"\0\0\0\4\1\0\0\0\0"
           b"\0\0\x14\1\4\0\0\0\1\x88\x0f\x10\x10application/grpc"
           b"\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1"
           b"\0\0\x0f\1\5\0\0\0\1\0\x0bgrpc-status\x010")


def make_root(directory):
    root = cases_path.make_root(directory)
    (root / "etc/answer").write_bytes(HEALTHY)
    health = root / "bin/health"
    health.write_text("#!/bin/sh\nhead -c 34 > /dev/null\ncat /etc/answer\ncat > /dev/null\n")
    health.chmod(0o755)
    return root


def pod(name, mode="correct", read_only="true"):
    return POD.replace("NAME", name).replace("MODE", mode).replace("READONLY", read_only)


def probed(kind):
    return PROBED.replace("NAME", kind).replace("PROBE", PROBES[kind])


def mount_points():
    """Where the hierarchies of this machine are, by controller; "" is version 2."""
    found = {}
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        left, right = line.split(" - ", 1)
        kind, _, options = right.split()[:3]
        if kind == "cgroup2":
            found[""] = left.split()[4]
        elif kind == "cgroup":
            for word in options.split(","):
                found[word] = left.split()[4]
    return found


class Subject:
    """A running pod as somebody on the node sees it."""

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.object = daemon.get("pod", name, "-n", "shop")
        self.uid = self.object["metadata"]["uid"]
        self.directory = daemon.run_dir / "pods" / self.uid

    def attempt(self):
        return sorted((self.directory / "c/main").iterdir(), key=lambda path: int(path.name))[-1]

    def pid(self):
        return json.loads((self.attempt() / "state.json").read_text())["pid"]

    def spec(self):
        return json.loads((self.attempt() / "spec.json").read_text().splitlines()[0])

    def groups(self):
        """The cgroup.procs files of all hierarchies that the container is in."""
        spec = self.spec()
        doors = [pathlib.Path(path).parent for path in spec.get("tasksFiles", [])]
        return [f"{group}/cgroup.procs" for group in [spec["cgroup"], *doors]]

    def upper(self):
        return (self.daemon.state_dir / "containers" / self.uid /
                f"main-{self.attempt().name}" / "upper")

    def procs(self, controller):
        """The cgroup.procs file of a controller, or of version 2."""
        for path in self.groups():
            if path.startswith(MOUNTS.get(controller, MOUNTS[""]) + "/"):
                return pathlib.Path(path)
        raise AssertionError(f"no group of {controller}")

    def limit(self, controller, old, new):
        directory = self.procs(controller).parent
        return directory / (old if (directory / old).exists() else new)


MOUNTS = mount_points()


class Drift(unittest.TestCase):
    """One daemon; every change is made by hand, as root, past it."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.expected = []  # what must be on the record: object and field
        self.intruders = []
        self.addCleanup(self.end_intruders)
        self.repository = harness.Repository(self.world)
        self.repository.write("app/namespace.yaml", NAMESPACE)
        self.repository.write("app/service.yaml", SERVICE)

    def tearDown(self):
        self.assertEqual(self.daemon.invariants(), "", "the checker speaks")

    def end_intruders(self):
        for child in self.intruders:
            child.kill()
            child.wait(10)

    def begin(self, **pods):
        for name, mode in pods.items():
            self.repository.write(f"app/{name}.yaml", mode)
        self.repository.push("Start")
        self.daemon = self.world.daemon("node", "--git", self.repository.url, "--path", "app")
        self.daemon.start()
        self.daemon.import_image(IMAGE, make_root(self.world.directory))
        for name in pods:
            self.ready(name)
        return [Subject(self.daemon, name) for name in pods]

    def ready(self, name):
        return eventually(f"{name} to be ready", lambda: [
            one for one in self.daemon.ready_pods("shop") if one["metadata"]["name"] == name])

    def records(self):
        return self.daemon.report("drift")["items"]

    def closed(self, subject, field):
        """Waits until a field of a pod has one closed record; gives it."""
        def look():
            rows = [row for row in self.records() if row["field"].startswith(field) and
                    row["object"].endswith("/" + subject)]
            return rows if rows and not any(row.get("open") for row in rows) else None
        rows = eventually(f"the record of {field} of {subject}", look, WAIT)
        self.assertEqual(len(rows), 1, rows)
        self.expected.append((rows[0]["object"], rows[0]["field"]))
        return rows[0]

    def told_once(self, *subjects):
        """Everything was looked at once more, and still only what was expected is on the record."""
        # A change that only the sweep sees: when it is told, the sweep has been there.
        for subject in subjects:
            score = pathlib.Path(f"/proc/{subject.pid()}/oom_score_adj")
            score.write_text(str(int(score.read_text()) - 1))
        for subject in subjects:
            self.closed(subject.name, "oomScoreAdjust[main]")
        rows = [(row["object"], row["field"]) for row in self.records()]
        self.assertEqual(sorted(rows), sorted(self.expected))

    def gauges(self):
        """The kinds of drift that a scraper sees open."""
        values = cases_api.read_metrics(
            self.world.http(f"http://127.0.0.1:{self.daemon.port}/metrics"))
        found = {re.fullmatch(r'moored_drift_open\{kind="(.*)"\}', name): value
                 for name, value in values.items()}
        return {match[1]: value for match, value in found.items() if match and value}

    def write(self, path, text):
        """As a person would: a shell that lives on for a moment."""
        child = subprocess.Popen(["sh", "-c", 'echo "$1" > "$2" && exec sleep 600', "sh",
                                  str(text), str(path)])
        self.intruders.append(child)
        return child.pid

    def enter(self, subject, *command, joined=False):
        """Runs a program in the namespaces of a pod."""
        prefix = []
        if joined:
            files = " ".join(f"'{path}'" for path in subject.groups())
            prefix = ["sh", "-c", f'for f in {files}; do echo $$ > $f; done; exec "$@"', "sh"]
        child = subprocess.Popen([*prefix, "nsenter", "-t", str(subject.pid()), "-m", "-u", "-i",
                                  "-n", "-p", *command])
        self.intruders.append(child)
        return child

    def test_each_change_made_by_hand_is_told_once_and_put_right(self):
        one, two, three, four, five, six, seven = self.begin(
            one=pod("one"), two=pod("two"), three=pod("three"), four=pod("four"),
            five=pod("five"), six=pod("six", read_only="false"), seven=pod("seven"))
        # 1 to 5: values of groups, and a frozen one. The kernel tells who writes them.
        for field, controller, old, new, value in (
                ("cgroup.memory.max", "memory", "memory.limit_in_bytes", "memory.max", 33554432),
                ("cgroup.cpu.shares", "cpu", "cpu.shares", "cpu.weight", 7),
                ("cgroup.pids.max", "pids", "pids.max", "pids.max", 77)):
            target = one.limit(controller, old, new)
            if field == "cgroup.pids.max":
                target = target.parent.parent / target.name  # a limit of the whole pod
            writer = self.write(target, value)
            row = self.closed("one", field)
            self.assertIn(f"[{writer}] uid 0", row["actor"], row)
        self.write(f"{two.spec()['cgroup']}/cgroup.freeze", 1)
        row = self.closed("two", "cgroup.freeze")
        self.assertEqual(row["correction"], "thawed")
        # 6: a process that is moved out of its group.
        root = pathlib.Path(MOUNTS.get("pids", MOUNTS[""])) / "cgroup.procs"
        self.write(root, two.pid())
        self.assertEqual(self.closed("two", "cgroup.procs[main]")["correction"], "moved back")
        self.assertIn(str(two.pid()), two.procs("pids").read_text().split())
        # 7: a mount that may be written again, 8: one more mount, 9: one less.
        run = self.enter(three, "mount", "-o", "remount,bind,rw", "/room")
        self.assertEqual(run.wait(10), 0)
        row = self.closed("three", "mount[main]:/room")
        self.assertEqual(row["correction"], "options set again")
        self.enter(three, "mount", "-t", "tmpfs", "none", "/tmp").wait(10)
        self.assertEqual(self.closed("three", "mount[main]:/tmp")["correction"], "unmounted")
        self.enter(four, "umount", "/room").wait(10)
        self.assertEqual(self.closed("four", "mount[main]:/room")["correction"], "restarted")
        # 10: a program in the pod's namespaces that nobody started there.
        inside = self.enter(five, "sleep", "600")
        self.assertEqual(self.closed("five", "process[main]:")["correction"], "killed")
        self.assertNotEqual(inside.wait(10), 0)
        # 11: a child of the pod's first process with rights that it cannot have given.
        self.enter(five, "sh", "-c", "sleep 601 & exit 0", joined=True).wait(10)
        row = self.closed("five", "capabilities[main]:")
        self.assertIn("no seccomp filter", row["observed"])
        # 12: the same rights, but no filter of system calls.
        keep = "0000000000000000"
        status = pathlib.Path(f"/proc/{five.pid()}/status").read_text()
        keep = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
        names = [f"+cap_{number}" for number in range(64) if int(keep, 16) >> number & 1]
        self.intruders.append(subprocess.Popen(
            ["sh", "-c", "for f in " + " ".join(five.groups()) + "; do echo $$ > $f; done; exec nsenter -t " + str(five.pid()) + " -i -n -p " +
             "setpriv --nnp --inh-caps=-all --bounding-set=-all," + ",".join(names) +
             " sh -c 'sleep 602 & exit 0'"]))
        self.intruders[-1].wait(10)
        self.assertEqual(self.closed("five", "seccomp[main]:")["correction"], "killed")
        # 13: another file behind the running program, 14: a file of a read-only root.
        other = self.world.directory / "other"
        other.write_bytes(pathlib.Path("/bin/busybox").read_bytes() + b"more")
        other.chmod(0o755)
        target = pathlib.Path(f"/proc/{six.pid()}/root/bin")
        subprocess.run(["cp", other, target / "busybox.new"], check=True)
        os.rename(target / "busybox.new", target / "busybox")
        self.assertEqual(self.closed("six", "executable[main]")["correction"], "restarted")
        (seven.upper() / "planted").write_text("by hand\n")
        row = self.closed("seven", "root[main]:/planted")
        self.assertEqual(row["correction"], "restarted")
        self.assertFalse((seven.upper() / "planted").exists())
        self.told_once(one, two, three, four, five, six, seven)

    def test_network_namespace_and_process(self):
        one, two, three, web = self.begin(one=pod("one"), two=pod("two"), three=pod("three"),
                                          http=probed("http"))
        # 15: the file that keeps a namespace.
        net = self.daemon.run_dir / "net" / one.uid
        harness.run("umount", net)
        self.assertEqual(self.closed("one", "namespace:net")["correction"], "pinned again")
        # 16 to 18: address, route and link, by programs that the kernel names.
        inside = ["nsenter", f"--net={net}", "ip"]
        harness.run(*inside, "route", "del", "default")
        row = self.closed("one", "route")
        self.assertIn("[", row["actor"])
        harness.run("nsenter", f"--net={self.daemon.run_dir / 'net' / two.uid}", "ip", "address",
                    "flush", "dev", "eth0")
        eventually("the address", lambda: "inet 10.209" in harness.run(
            "nsenter", f"--net={self.daemon.run_dir / 'net' / two.uid}", "ip", "-4", "address",
            "show", "eth0").stdout, WAIT)
        self.closed("two", "address")
        # 19: the rules of pods, 20: those of Services; the kernel names the writer.
        table = f"moored_{self.daemon.instance()}"
        harness.run(*self.world.inside("nft", "add", "rule", "ip", table, "guard", "accept"))
        row = self.closed("node", "rule")
        self.assertIn("nft[", row["actor"])
        chain = re.search(r"chain (svc_\w+)", harness.run(*self.world.inside(
            "nft", "list", "table", "ip", f"{table}_services")).stdout)[1]
        harness.run(*self.world.inside("nft", "flush", "chain", "ip", f"{table}_services", chain))
        row = self.closed("web", "rule")
        self.assertIn("nft[", row["actor"])
        # 21: a killed process.
        os.kill(three.pid(), 9)
        self.assertEqual(self.closed("three", "process[main]")["correction"], "restarted")
        self.told_once(one, two, three, web)

    def test_nothing_is_told_while_nothing_changes(self):
        subjects = self.begin(one=pod("one"), two=pod("two", read_only="false"),
                              **{kind: probed(kind) for kind in PROBES})
        started = [subject.pid() for subject in subjects]
        end = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < end:
            self.assertEqual(self.records(), [])
            time.sleep(1)
        self.assertEqual(len(self.daemon.ready_pods("shop")), len(subjects))
        self.assertEqual([subject.pid() for subject in subjects], started)
        self.told_once(*subjects)  # it was looked

    def test_modes(self):
        told, quiet = self.begin(told=pod("told", "report"), quiet=pod("quiet", "off"))
        for subject in (told, quiet):
            limit = subject.limit("memory", "memory.limit_in_bytes", "memory.max")
            limit.write_text("33554432")
            self.enter(subject, "mount", "-t", "tmpfs", "none", "/tmp").wait(10)

        def seen():
            rows = self.records()
            return rows if len(rows) == 2 else None
        rows = eventually("two records", seen, WAIT)
        self.assertTrue(all(row["open"] and row["object"].endswith("/told") for row in rows), rows)
        self.assertEqual(told.limit("memory", "memory.limit_in_bytes", "memory.max").read_text(),
                         "33554432\n")
        self.assertEqual(self.gauges(), {"cgroup.memory.max": 1, "mount": 1})
        # A daemon that is started again does not tell it again. Soon after a start it sees what of
        # a layer was changed by hand, under all that stand on it.
        (users,) = (self.daemon.state_dir / "images/layers").glob("*/diff/etc/passwd")
        users.write_text(users.read_text() + "me:x:0:0:me:/:/bin/sh\n")
        self.daemon.kill()
        self.daemon.start()
        layer = eventually("the record of the layer", lambda: [
            row for row in self.records() if row["field"].startswith("layer:")], WAIT)
        self.assertEqual(len(layer), 1)
        self.assertTrue(layer[0]["open"] and layer[0]["object"].startswith("Node/"), layer)
        self.assertTrue(layer[0]["observed"].startswith("/etc/passwd: "), layer)
        self.enter(told, "umount", "/tmp").wait(10)

        def over():
            mounts = [row for row in self.records() if row["field"].startswith("mount")]
            return mounts if mounts and not any(row["open"] for row in mounts) else None
        self.assertEqual(len(eventually("the end of the mount", over, WAIT)), 1)
        self.assertEqual(len(self.records()), 3)
        self.assertEqual(self.gauges(), {"cgroup.memory.max": 1, "layer": 1})


if __name__ == "__main__":
    unittest.main()
