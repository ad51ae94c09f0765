#!/usr/bin/env python3
"""Kills the daemon and its shims at every step of what they do, and looks at what comes of it.

    tests/e2e/kill.py --every 1                  in front of every changing system call of each step
    tests/e2e/kill.py --every 20 --offset 3      in front of the 3rd, 23rd, 43rd ...
    tests/e2e/kill.py --random 1000 --shims 200  at random moments; prints kills for each phase
    options: --seed N, --only STEP, --bin DIRECTORY

After each kill the daemon is started again, everything has to become as the last commit wants it,
moored-invariants has to be silent, and pods that the step does not concern have to be the same
ones, unrestarted. moored-tracer does the killing: no program that is tested knows of it.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

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
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        text, _ = self.process.communicate(timeout=30)
        return json.loads(text.strip().splitlines()[-1])


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
        self.version = 1
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

    def end_orphan(self):
        """Kills a daemon that is not our child any more, since a tracer had started it."""
        try:
            pid = int((self.daemon.state_dir / "store/store.lock").read_text())
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            return
        if str(self.daemon.state_dir) not in words:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually("the daemon to be gone", lambda: not is_alive(pid), 30)
        if self.daemon.process.poll() is None:
            self.daemon.process.wait(30)

    def write(self, name, text):
        self.repository.write(f"app/{name}.yaml", text)

    def push(self, message):
        self.sha = self.repository.push(message)

    # ---- looking ----

    def pods(self):
        text = self.world.http(f"http://127.0.0.1:{self.daemon.port}/api/v1/namespaces/shop/pods")
        return json.loads(text)["items"]

    def is_settled(self):
        """False while anything is on its way to what the last commit wants."""
        pods = self.pods()
        counts = {}
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                return False
            ready = [row for row in pod["status"].get("conditions", [])
                     if row["type"] == "Ready" and row["status"] == "True"]
            if not ready:
                return False
            app = pod["metadata"]["labels"]["app"]
            if app == "web":
                environment = pod["spec"]["containers"][0]["env"]
                if environment[0]["value"] != str(self.version):
                    return False
            counts[app] = counts.get(app, 0) + 1
        if counts != self.wanted:
            return False
        return self.daemon.report("trace", self.sha)["outcome"] == "ready"

    def settle(self):
        eventually("everything to be as the last commit wants it", self.is_settled, 90)

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

    def check(self, before, keep):
        """The daemon runs: waits, asks the checker, compares the pods that had to be kept."""
        self.settle()
        said = self.daemon.invariants()
        if said:
            raise Failed(f"the checker speaks:\n{said}")
        after = self.identities()
        for name, identity in before.items():
            if keep(name) and after.get(name) != identity:
                raise Failed(f"{name} was {identity} and is {after.get(name)}")


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
        self.yard.version += 1
        self.yard.write("web", DEPLOYMENT.replace("NAME", "web").replace(
            'value: "1"', f'value: "{self.yard.version}"') + SERVICE)
        self.yard.push(f"Roll out {self.yard.version}")


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


class Killer:
    """Kills by number. Prints a line for each kill; the first thing that is wrong ends it."""

    def __init__(self, yard, say=print):
        self.yard = yard
        self.say = say
        self.kills = {}

    def note(self, step, whom, where):
        key = (step.name, whom)
        self.kills[key] = self.kills.get(key, 0) + 1
        self.say(f"{step.name}: {whom} killed in front of {where['call']} "
                 f"number {where['number']} ({where['thread']}) {where['target']}")

    def wait_for(self, tracer):
        """Until the kill, or until the step is over without one. What the tracer says."""
        eventually("the step to end, or the kill",
                   lambda: tracer.has_ended() or self.is_over(), 90)
        return tracer.done()

    def is_over(self):
        try:
            return self.yard.read_port() and self.yard.is_settled()
        except (OSError, Failed, ValueError, KeyError, subprocess.SubprocessError):
            return False

    def daemon(self, step, at):
        """One kill of the daemon. The number of calls when it was not reached, else None."""
        yard = self.yard
        before = {} if isinstance(step, FirstStart) else yard.identities()
        step.prepare()
        if isinstance(step, BEGINNINGS):
            tracer = yard.start_traced(at)
        else:
            tracer = Tracer(at, ["--pid", yard.daemon.process.pid])
            step.act()
        result = self.wait_for(tracer)
        if result["killed"]:
            self.note(step, "daemon", result)
            with contextlib.suppress(subprocess.TimeoutExpired):
                yard.daemon.process.wait(10)
        # A daemon that was the tracer's child goes on without it, but is no child of ours.
        if result["killed"]:
            yard.daemon.start()
        elif isinstance(step, BEGINNINGS):
            self.restart()
        yard.check(before, step.keeps)
        step.finish()
        return None if result["killed"] else result["calls"]

    def restart(self):
        """Takes a daemon that a tracer has started out of its hands."""
        self.yard.end_orphan()
        self.yard.daemon.start()

    def shim(self, step, at):
        """One kill of a shim: of a new one where the step makes some, else of the victim's."""
        yard = self.yard
        before = {} if isinstance(step, FirstStart) else yard.identities()
        target = step.victim or "stopper"
        if isinstance(step, FirstStart):
            step.prepare()
            tracer = yard.start_traced(at, "--child", "moored-shim")
        elif isinstance(step, RollingUpdate):
            tracer = Tracer(at, ["--child", "moored-shim", "--pid", yard.daemon.process.pid])
            step.act()
        else:
            tracer = Tracer(at, ["--pid", yard.shim_of(target)])
            step.prepare()
            yard.daemon.start() if isinstance(step, Adoption) else step.act()
        result = self.wait_for(tracer)
        if result["killed"]:
            self.note(step, "shim", result)
        if isinstance(step, FirstStart):
            yard.listen()
        yard.check(before, lambda pod: step.keeps(pod) and not pod.startswith(target))
        if isinstance(step, FirstStart):
            self.restart()
        step.finish()
        return None if result["killed"] else result["calls"]

    def sweep(self, step, whom, every, offset, most=None):
        """Every so many calls, until the step ends unharmed. The number of calls it made."""
        at, done = offset, 0
        while most is None or done < most:
            calls = getattr(self, whom)(step, at)
            if calls is not None:
                return calls
            at += every
            done += 1
        return None

    def spread(self, step, whom, count, dice):
        """A few kills spread over the step: counted once unharmed, then one in each part."""
        calls = getattr(self, whom)(step, 10 ** 9)
        parts = [calls * n // count for n in range(count + 1)]
        for low, high in zip(parts, parts[1:]):
            getattr(self, whom)(step, dice.randint(low + 1, max(low + 1, high)))
        return calls


class RandomKiller:
    """Kills at random moments of each step, several times over where the dice say so."""

    MOST_IN_A_ROW = 4

    def __init__(self, yard, dice, say=print):
        self.yard = yard
        self.dice = dice
        self.say = say
        self.kills = {}
        self.seconds = {kind.name: 1.0 for kind in STEPS}

    def count(self, phase):
        self.kills[phase] = self.kills.get(phase, 0) + 1

    def begin(self, step):
        step.prepare()
        if isinstance(step, BEGINNINGS):
            self.launch()
        else:
            step.act()

    def launch(self):
        """Starts the daemon and does not wait for it."""
        with contextlib.suppress(FileNotFoundError):
            (self.yard.daemon.run_dir / "api.json").unlink()
        with open(self.yard.daemon.output, "ab") as log:
            self.yard.daemon.process = subprocess.Popen(
                self.yard.world.inside(*self.yard.daemon.arguments), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True)

    def measure(self, step):
        """How long the step takes unharmed: kills come within this time."""
        began = time.monotonic()
        self.begin(step)
        self.yard.listen()
        self.yard.settle()
        self.seconds[step.name] = time.monotonic() - began
        step.finish()

    def daemons(self, step):
        """One round: the step, and the daemon killed up to MOST_IN_A_ROW times within it."""
        before = {} if isinstance(step, FirstStart) else self.yard.identities()
        self.begin(step)
        for n in range(self.dice.randint(1, self.MOST_IN_A_ROW)):
            time.sleep(self.dice.random() * self.seconds[step.name] * 0.8)
            self.yard.daemon.kill()
            self.count(step.name if n == 0 else step.name + ", in the recovery")
            self.launch()
        self.yard.listen()
        self.yard.check(before, step.keeps)
        step.finish()

    def shims(self, step):
        """One round: shims killed while pods come and go. Any pod may be hit but the anchor's."""
        before = self.yard.identities()
        step.act()
        for _ in range(self.dice.randint(1, self.MOST_IN_A_ROW)):
            time.sleep(self.dice.random() * 0.4)
            shims = self.living_shims()
            if shims:
                os.kill(self.dice.choice(shims), signal.SIGKILL)
                self.count("shim during " + step.name)
        self.yard.check(before, lambda pod: pod.startswith("anchor"))
        step.finish()

    def living_shims(self):
        """Processes of the shims of every application but the anchor."""
        found = []
        for path in (self.yard.daemon.run_dir / "pods").glob("*/shim.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                pod = json.loads((path.parent / "pod.json").read_text())
                if '"anchor' in json.dumps(pod):
                    continue
                pid = json.loads(path.read_text())["pid"]
                if is_alive(pid):
                    found.append(pid)
        return found

    def run(self, kills, shims):
        steps = [kind(self.yard) for kind in STEPS]
        for step in steps if kills > len(steps) else ():
            self.measure(step)
            self.say(f"{step.name} takes {self.seconds[step.name]:.1f} s")
        while self.total(False) < kills:
            for step in steps:
                self.daemons(step)
            self.say(f"{self.total(False)} kills of the daemon")
        while self.total(True) < shims:
            for step in (steps[1], steps[2], steps[3]):
                self.shims(step)
            self.say(f"{self.total(True)} kills of shims")
        for phase, count in sorted(self.kills.items()):
            self.say(f"{count:5} {phase}")

    def total(self, of_shims):
        return sum(n for phase, n in self.kills.items() if phase.startswith("shim") == of_shims)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, help="system calls from one kill to the next")
    parser.add_argument("--offset", type=int, default=1)
    parser.add_argument("--random", type=int, default=0, help="kills of the daemon")
    parser.add_argument("--shims", type=int, default=0, help="random kills of shims")
    parser.add_argument("--only", default="", help="steps whose name holds this")
    parser.add_argument("--whom", choices=("daemon", "shim"), help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", help="directory of the programs")
    arguments = parser.parse_args()
    if arguments.bin:
        harness.BIN = pathlib.Path(arguments.bin).resolve()
    yard = Yard()
    try:
        if arguments.every:
            killer = Killer(yard, lambda text: print(text, flush=True))
            for kind in STEPS:
                if arguments.only not in kind.name:
                    continue
                for whom in ("daemon", "shim"):
                    if arguments.whom in (None, whom):
                        calls = killer.sweep(kind(yard), whom, arguments.every, arguments.offset)
                        print(f"{kind.name}: unharmed after {calls} calls of the {whom}",
                              flush=True)
            for (step, whom), count in killer.kills.items():
                print(f"{count:5} {step}: {whom}")
        if arguments.random or arguments.shims:
            RandomKiller(yard, random.Random(arguments.seed),
                         lambda text: print(text, flush=True)).run(arguments.random,
                                                                   arguments.shims)
    except BaseException:
        print(yard.daemon.tail(30), file=sys.stderr)
        raise
    finally:
        yard.close()


if __name__ == "__main__":
    main()
