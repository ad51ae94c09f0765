"""Pods: started from a push, started again after a kill, and what supervising them costs."""
import os
import statistics
import time

import harness
from measure import Row, Stopwatch, processes, proportional_kib, written_bytes

IMAGE = "localhost/bench:1"
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: localhost/bench:1
      imagePullPolicy: Never
      command: [{command}]
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: {count}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: localhost/bench:1
          imagePullPolicy: Never
          command: [/pause]
"""
BOUNDS = {1: ((0.25, 0.15), (0.10, 0.05)), 10: ((0.15, 0.10), (0.04, 0.03)),
          50: ((0.12, 0.10), (0.03, 0.03))}


def manifest(name, count):
    if count == 1:
        return POD.format(name=name, command="/pause")
    return DEPLOYMENT.format(name=name, count=count)


def deploy(node, name, count):
    """Wall and processor seconds from the moment a push is told to all pods ready."""
    node.repository.write("app/pods.yaml", manifest(name, count))
    node.repository.push(f"Deploy {count}")
    clock = Stopwatch(*node.groups)
    node.tell()
    ended = node.watch.wait(lambda watch: len(watch.ready) == count)
    return clock.read(ended)


def withdraw(node):
    node.repository.write("app/pods.yaml", "# nothing\n")
    node.repository.push("Withdraw")
    node.tell()
    node.watch.wait(lambda watch: not watch.known)


def play(peer, name, count):
    path = peer.directory / f"{name}.yaml"
    path.write_text(manifest(name, count))
    clock = Stopwatch(peer.group)
    peer.call("kube", "play", path)
    figure = clock.read()
    running = len([pid for pid in processes("pause") if in_group(pid, peer.group)])
    if running < count:
        raise harness.Failed(f"podman started {running} of {count} pods")
    return figure, path


def in_group(pid, group):
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as text:
            return group.directory.name in text.read()
    except OSError:
        return False


def starts(node, peer, count, repetitions):
    ours, theirs = [], []
    for turn in range(repetitions):
        ours.append(deploy(node, f"ours{count}-{turn}", count))
        withdraw(node)
        figure, path = play(peer, f"theirs{count}-{turn}", count)
        theirs.append(figure)
        peer.call("kube", "down", path)
    must, aim = BOUNDS[count]
    what = f"revision told to {count} pod{'s' if count > 1 else ''} ready"
    return [Row(f"{what}: {part}", "s", [row[i] for row in ours], "podman kube play",
                [row[i] for row in theirs], must[i], aim[i])
            for i, part in enumerate(("wall", "cpu"))]


def wait_other(argument):
    """Seconds from the end of a sleeper until another one runs with the same argument."""
    # Only what is new is looked at: reading all of /proc would take a core from who is measured.
    known = {entry for entry in os.listdir("/proc") if entry.isdigit()}
    began = time.monotonic()
    for pid in sleepers(argument, known):
        os.kill(int(pid), 9)
    while not sleepers(argument, set(os.listdir("/proc")) - known):
        if time.monotonic() - began > 20:
            raise harness.Failed("no restart within 20 s")
        time.sleep(0.0005)
    return time.monotonic() - began


def sleepers(argument, candidates):
    """Those of the candidates, names below /proc, that are a sleep with this argument."""
    found = []
    for pid in candidates:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as words:
                program, *arguments = words.read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(program) == b"sleep" and argument.encode() in arguments:
            found.append(pid)
    return found


def restarts(node, peer, repetitions):
    ours, theirs = [], []
    for turn in range(repetitions):
        text = POD.format(name=f"again{turn}", command="/bin/sleep, '7001'")
        node.repository.write("app/pods.yaml", text)
        node.repository.push("Sleep")
        node.tell()
        node.watch.wait(lambda watch: len(watch.ready) == 1)
        ours.append(wait_other("7001"))
        withdraw(node)
        path = peer.directory / "again.yaml"
        path.write_text(POD.format(name=f"again{turn}", command="/bin/sleep, '7002'"))
        peer.call("kube", "play", path)
        theirs.append(wait_other("7002"))
        peer.call("kube", "down", path)
    return [Row("process killed to new process, first restart: wall", "s", ours,
                "podman", theirs, 0.3, 0.1)]


def supervision(node, peer, seconds):
    """Memory of supervision for each of 50 pods, then what the node costs while nothing changes."""
    count = 50
    deploy(node, "held", count)
    own = set(node.workers())
    shims = [pid for pid in processes("moored-shim") if pid not in own]
    if len(shims) < count:
        raise harness.Failed(f"{len(shims)} shims for {count} pods")
    mine = sum(proportional_kib(pid) for pid in shims) / count
    _, path = play(peer, "held", count)
    theirs = sum(proportional_kib(pid) for pid in processes("conmon")
                 if in_group(pid, peer.group)) / count
    peer.call("kube", "down", path)
    rows = [Row("supervision memory for each of 50 pods, proportional", "KiB", [mine],
                "conmon of a pod", [theirs], 0.5, 0.15)]
    rows += idle(node, seconds)
    withdraw(node)
    return rows


def idle(node, seconds):
    # Status, receipts and what a start needed settle first.
    time.sleep(25)
    workers = node.workers()
    written = sum(written_bytes(pid) for pid in workers)
    clock = Stopwatch(node.group)
    time.sleep(seconds)
    wall, cpu = clock.read()
    written = sum(written_bytes(pid) for pid in workers) - written
    memory = sum(proportional_kib(pid) for pid in node.workers()) / 1024
    return [
        Row("daemon and workers with 50 pods, proportional", "MiB", [memory], must=25, aim=15),
        Row("the same, nothing changing: share of a core", "%", [100 * cpu / wall], must=0.2),
        Row("the same, nothing changing: written in a minute", "bytes", [written * 60 / wall],
            must=0),
    ]


def adoption(node, repetitions, count=100):
    """A daemon that is killed and started again beside its pods, until it holds all of them."""
    node.repository.write("app/pods.yaml", manifest("held", count))
    node.repository.push("Hold")
    node.tell()
    node.watch.wait(lambda watch: len(watch.ready) == count)
    figures = []
    for _ in range(repetitions):
        pids = sorted(pid for pid in processes("pause") if in_group(pid, node.pods))
        if len(pids) < count:
            raise harness.Failed(f"{len(pids)} processes for {count} pods")
        node.daemon.kill()
        node.daemon.process = None
        began = time.monotonic()
        node.restart()
        while node.count_shims() < count:
            if time.monotonic() - began > 20:
                raise harness.Failed(f"{node.count_shims()} of {count} pods adopted within 20 s")
            time.sleep(0.002)
        figures.append(time.monotonic() - began)
        node.daemon.wait_for_api()
        after = sorted(pid for pid in processes("pause") if in_group(pid, node.pods))
        if after != pids:
            raise harness.Failed("pods were touched while the daemon was away")
    node.follow()
    withdraw(node)
    return [Row(f"daemon started again beside {count} pods, until all are adopted: wall", "s",
                figures, must=1)]


def resync(node, repetitions):
    """1,000 objects, and revisions that change none of them."""
    for number in range(1000):
        node.repository.write(f"app/objects/c{number}.yaml", (
            "apiVersion: v1\nkind: ConfigMap\n"
            f"metadata: {{name: c{number}}}\ndata: {{number: '{number}'}}\n"))
    node.repository.push("A thousand objects")
    node.daemon.sync()
    harness.eventually("1,000 objects", lambda: len(node.daemon.get("configmaps")["items"]) >= 1000)
    figures = []
    for _ in range(repetitions):
        node.repository.push("Nothing")
        clock = Stopwatch(node.group)
        node.daemon.sync()
        figures.append(clock.read()[1] * 1000)
    return [Row("revision that changes none of 1,000 objects: cpu", "ms", figures, must=10, aim=2)]


def median_of(rows, what):
    return next(statistics.median(row.ours) for row in rows if row.what.startswith(what))
