"""One program in one sandbox: ours beside crun's, from nothing to reaped and removed."""
import json
import os
import time

import harness
from harness import run
from measure import Group, Row, Stopwatch


def bundle(directory, root):
    """An OCI bundle with the default namespaces, whose program is /bin/true."""
    directory.mkdir()
    run("crun", "spec", cwd=directory)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    config["process"].pop("rlimits", None)
    config["root"].update(path=str(root), readonly=True)
    path.write_text(json.dumps(config))
    return directory


def sandboxes(directory, root, programs, count):
    ours = Group(f"moored-bench-sandbox-{os.getpid()}").create()
    theirs = Group(f"moored-bench-crun-{os.getpid()}").create()
    scratch = directory / "sandbox"
    scratch.mkdir()
    cgroup = f"/moored-bench-pods-{os.getpid()}"
    here = bundle(directory / "bundle", root)
    pods = Group(cgroup.lstrip("/"))
    walls, cpus, peer_walls, peer_cpus = [], [], [], []
    try:
        for turn in range(count // 10):
            clock = Stopwatch(ours, pods)
            lines = run(*ours.inside(programs / "bench-sandbox", programs / "moored-shim", root,
                                     scratch, cgroup, 10)).stdout.split()
            used = clock.read()[1]
            walls += [float(line) for line in lines]
            cpus.append(used * 1000 / 11)
            for number in range(10):
                name = f"bench-{os.getpid()}-{turn}-{number}"
                clock = Stopwatch(theirs)
                began = time.monotonic()
                run(*theirs.inside("unshare", "-m", "sh", "-c",
                                   "umount /sys/fs/cgroup/unified 2>/dev/null; "
                                   f"exec crun --cgroup-manager cgroupfs run {name}"), cwd=here,
                    stdin=None)
                peer_walls.append((time.monotonic() - began) * 1000)
                peer_cpus.append(clock.read()[1] * 1000)
    finally:
        for group in (ours, theirs):
            harness.eventually(f"{group.directory} to be empty", lambda g=group: removed(g), 10)
    return [Row("/bin/true in a sandbox to reaped: wall", "ms", walls, "crun run", peer_walls, 0.6,
                0.25),
            Row("/bin/true in a sandbox to reaped: cpu", "ms", cpus, "crun run", peer_cpus, 0.5,
                0.25)]


def removed(group):
    group.remove()
    return True
