"""What kill.py kills: a daemon with some applications, and the steps that are done to it."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading

import harness
from cases_path import IMAGE, NAMESPACE, make_root
from harness import Failed, eventually, run

LOOP = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
# Takes a moment to end, so that a stop has a middle.
SLOW_END = "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 1000 & wait $!; done"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  replicas: 2
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: main
          image: test/web:1
          command: [sh, -c, "LOOP"]
          env: [{name: VERSION, value: "1"}]
""".replace("LOOP", LOOP)
SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: stopper, namespace: shop, labels: {app: stopper}}
spec:
  terminationGracePeriodSeconds: 2
  containers: [{name: main, image: "test/web:1", command: [sh, -c, "LOOP"]}]
""".replace("LOOP", SLOW_END)
EXTRA = DEPLOYMENT.replace("NAME", "extra").replace("replicas: 2", "replicas: 1") + """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: extra, namespace: shop}
data: {key: value}
"""
FULL = {"anchor": 2, "web": 2, "extra": 1, "stopper": 1}
CHURN = "churn"  # the application that changes all the time, while nothing else is looked at


TRIES = 30  # to stop a tracer, two seconds apart


def is_alive(pid):
    try:
        return ") Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Tracer:
    """A moored-tracer that runs; done() is what it says at its end."""

    def __init__(self, at, arguments, world=None, log=None):
        command = [str(harness.BIN / "moored-tracer"), "--at", str(at), *map(str, arguments)]
        self.process = subprocess.Popen(
            world.inside(*command) if world else command, stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True)
        first = self.process.stdout.readline().strip()
        if first != "ready":
            raise Failed(f"moored-tracer said {first!r} instead of ready")

    def has_ended(self):
        return self.process.poll() is not None

    def done(self):
        """Lets go of what still runs, and tells where it killed, or how many calls there were."""
        for left in reversed(range(TRIES)):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=2)
                break
            except subprocess.TimeoutExpired:
                if left == 0:
                    raise
        # Not communicate(): a tracer that ended at once said both lines before the first was read.
        with self.process.stdout as said:
            return json.loads(said.read().strip().splitlines()[-1])


class Yard:
    """A daemon with four applications, and the steps that are done to it."""

    def __init__(self):
        self.world = harness.World()
        try:
            self.set_up()
        except BaseException:
            self.world.close()
            raise

    def set_up(self):
        self.repository = harness.Repository(self.world)
        self.write("namespace", NAMESPACE)
        self.write("anchor", DEPLOYMENT.replace("NAME", "anchor"))
        self.write("web", DEPLOYMENT.replace("NAME", "web") + SERVICE)
        self.write("extra", EXTRA)
        self.write("stopper", POD)
        self.lock = threading.Lock()       # of the work tree, that the churn pushes from too
        self.versions = {"web": 1, CHURN: 0}
        self.churn_replicas = 0
        self.why = ""                      # what is not yet as it has to be
        self.sha = self.repository.push("Start")
        self.daemon = self.world.daemon("node", "--git", self.repository.url, "--path", "app")
        self.daemon.start()
        self.daemon.import_image(IMAGE, make_root(self.world.directory))
        self.wanted = dict(FULL)
        self.settle()
        # Images outlive a first start: importing one is not what is looked at here.
        self.images = self.world.directory / "images"
        run("cp", "-a", self.daemon.state_dir / "images", self.images)

    def close(self):
        self.end_orphan()
        self.world.close()

    def find_daemon(self):
        """The process that holds the store; None: there is none of this yard's."""
        try:
            pid = int((self.daemon.state_dir / "store/store.lock").read_text())
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            return None
        return pid if str(self.daemon.state_dir) in words else None

    def end_orphan(self):
        """Kills a daemon that is not our child any more, since a tracer had started it."""
        pid = self.find_daemon()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually("the daemon to be gone", lambda: not is_alive(pid), 30)
        if self.daemon.process.poll() is None:
            self.daemon.process.wait(30)

    def write(self, name, text):
        self.repository.write(f"app/{name}.yaml", text)

    def push(self, message):
        with self.lock:
            self.sha = self.repository.push(message)

    def push_churn(self, replicas):
        """One more change of the application that always changes."""
        with self.lock:
            self.versions[CHURN] += 1
            self.churn_replicas = replicas
            self.write(CHURN, DEPLOYMENT.replace("NAME", CHURN).replace(
                'value: "1"', f'value: "{self.versions[CHURN]}"').replace(
                "replicas: 2", f"replicas: {replicas}"))
            self.sha = self.repository.push(f"Churn {self.versions[CHURN]}")

    # ---- looking ----

    def pods(self):
        text = self.world.http(f"http://127.0.0.1:{self.daemon.port}/api/v1/namespaces/shop/pods")
        return json.loads(text)["items"]

    def is_settled(self):
        """False while anything is on its way to what the last commit wants."""
        self.why = self.find_unsettled()
        return not self.why

    def find_unsettled(self):
        counts = {}
        for pod in self.pods():
            name = pod["metadata"]["name"]
            if "deletionTimestamp" in pod["metadata"]:
                return f"{name} is leaving"
            if not any(row["type"] == "Ready" and row["status"] == "True"
                       for row in pod["status"].get("conditions", [])):
                return f"{name} is not ready: {json.dumps(pod['status'])}"
            app = pod["metadata"]["labels"]["app"]
            if app in self.versions:
                environment = pod["spec"]["containers"][0]["env"]
                if environment[0]["value"] != str(self.versions[app]):
                    return f"{name} is of version {environment[0]['value']}, not of the last"
            counts[app] = counts.get(app, 0) + 1
        wanted = dict(self.wanted)
        if self.churn_replicas:
            wanted[CHURN] = self.churn_replicas
        if counts != wanted:
            return f"there are {counts}, wanted are {wanted}"
        outcome = self.daemon.report("trace", self.sha)["outcome"]
        return "" if outcome == "ready" else f"{self.sha} is {outcome}"

    def settle(self, seconds=90):
        try:
            eventually("everything to be as the last commit wants it", self.is_settled, seconds)
        except Failed as error:
            raise Failed(f"{error}\n{self.why}") from error

    def identities(self):
        """What must not change of a pod that nothing was done to."""
        found = {}
        for pod in self.pods():
            state = pod["status"]["containerStatuses"][0]
            found[pod["metadata"]["name"]] = (pod["metadata"]["uid"], state["containerID"],
                                              state["restartCount"])
        return found

    def shim_of(self, app):
        """The process of the shim of the first pod of an application."""
        for pod in self.pods():
            if pod["metadata"]["labels"]["app"] == app:
                path = self.daemon.run_dir / "pods" / pod["metadata"]["uid"] / "shim.json"
                return json.loads(path.read_text())["pid"]
        raise Failed(f"no pod of {app}")

    def starter(self):
        """The process that the daemon's shims are copies of; without one yet, the daemon."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if words[1:2] == [b"--starter"] and parent == self.daemon.process.pid:
                    return int(entry.name)
        return self.daemon.process.pid

    # ---- starting ----

    def start_traced(self, at, *options):
        """The daemon as the tracer's child: killed with the tracer's word."""
        with contextlib.suppress(FileNotFoundError):
            (self.daemon.run_dir / "api.json").unlink()
        with open(self.daemon.output, "ab") as log:
            tracer = Tracer(at, [*options, "--", *self.daemon.arguments], self.world, log)
        self.daemon.process = tracer.process
        return tracer

    def listen(self):
        """Waits for the API, also of a daemon that a tracer has started and let go of."""
        eventually("the API to listen", self.read_port, 30)

    def read_port(self):
        listen = json.loads((self.daemon.run_dir / "api.json").read_text())["listen"]
        self.daemon.port = int(listen.rsplit(":", 1)[1])
        return self.daemon.port

    def check(self, before, keep, seconds=90, repair=0):
        """The daemon runs: waits, asks the checker, compares the pods that had to be kept.
        repair: seconds in which what was taken away outside of the daemon has to be back."""
        self.settle(seconds)
        with contextlib.suppress(Failed):
            eventually("the checker to be silent", lambda: not self.daemon.invariants(), repair)
        said = self.daemon.invariants()
        if said:
            raise Failed(f"the checker speaks:\n{said}")
        after = self.identities()
        for name, identity in before.items():
            kept = keep(name) and not name.startswith(CHURN)
            if kept and after.get(name) != identity:
                raise Failed(f"{name} was {identity} and is {after.get(name)}")


class Churn:
    """Pushes changes of one application without end, for as long as its block lasts."""

    def __init__(self, yard, dice):
        self.yard = yard
        self.dice = random.Random(dice.random())
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.push, daemon=True)
        self.error = None

    def push(self):
        try:
            while not self.over.wait(0.2 + self.dice.random()):
                self.yard.push_churn(self.dice.randint(0, 2))
        except (Failed, OSError, subprocess.SubprocessError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


class Step:
    """One thing that is done, with what it may change. Steps leave every application running."""

    name = ""
    victim = ""          # application whose pods are changed
    fault = "P6 to P15"  # rows of the table of steps and faults

    def __init__(self, yard):
        self.yard = yard

    def prepare(self):
        """Makes the state that the step begins with."""

    def act(self):
        """Sets the step off."""

    def finish(self):
        """Afterwards: back to where all applications run."""
        if self.yard.wanted == FULL:
            return
        for name, text in (("extra", EXTRA), ("stopper", POD)):
            self.yard.write(name, text)
        self.yard.wanted = dict(FULL)
        self.yard.push("Put everything back")
        self.yard.settle()

    def keeps(self, pod):
        return not pod.startswith(self.victim) if self.victim else True


class FirstStart(Step):
    name = "first start with a commit"

    def prepare(self):
        daemon = self.yard.daemon
        daemon.down()
        for path in (daemon.run_dir, daemon.state_dir, daemon.log_dir):
            path.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", self.yard.images, daemon.state_dir / "images")

    def keeps(self, pod):
        return False


class Adoption(Step):
    name = "adoption"

    def prepare(self):
        self.yard.daemon.kill()


class RollingUpdate(Step):
    name = "rolling update"
    victim = "web"

    def act(self):
        version = self.yard.versions["web"] = self.yard.versions["web"] + 1
        self.yard.write("web", DEPLOYMENT.replace("NAME", "web").replace(
            'value: "1"', f'value: "{version}"') + SERVICE)
        self.yard.push(f"Roll out {version}")


class Prune(Step):
    name = "prune"
    victim = "extra"

    def act(self):
        self.yard.repository.remove("app/extra.yaml")
        self.yard.wanted = {name: n for name, n in FULL.items() if name != "extra"}
        self.yard.push("Remove extra")


class Stop(Step):
    name = "stop of a pod"
    victim = "stopper"

    def act(self):
        self.yard.repository.remove("app/stopper.yaml")
        self.yard.wanted = {name: n for name, n in FULL.items() if name != "stopper"}
        self.yard.push("Remove the pod")


STEPS = (FirstStart, RollingUpdate, Prune, Stop, Adoption)
BEGINNINGS = (FirstStart, Adoption)  # in which the daemon starts
