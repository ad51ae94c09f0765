"""One program in one sandbox beside crun's: wall to the reaped process, cpu with the removal."""
import json
import os

import harness
from harness import run
from measure import Group, Row, Stopwatch
from places import Transient


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


# Runs in a mount namespace of its own, as crun refuses a v2 mount beside v1 ones. Says for each run
# how long it took; only crun itself is in the group.
PEER = """
import pathlib, subprocess, sys, time
procs, count, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if pathlib.Path("/sys/fs/cgroup/unified").is_dir():
    subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)
for number in range(count):
    command = (f'echo 0 > "{procs}"; echo ready; read go; '
               f"exec crun --cgroup-manager cgroupfs run {name}-{number}")
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        began = time.monotonic()
        child.stdin.close()
        if child.wait():
            sys.exit("crun failed")
        print((time.monotonic() - began) * 1000, flush=True)
"""


def sandboxes(directory, root, programs, count):
    """Each side ten times in a row, in turn, by one process of its own that is not measured."""
    ours = Group(f"moored-bench-sandbox-{os.getpid()}").create()
    theirs = Group(f"moored-bench-crun-{os.getpid()}").create()
    # Neither side writes to a disk: crun has a read-only root, ours a writable one in memory.
    transient = Transient()
    places = [transient.path / name for name in ("run", "scratch")]
    for place in places:
        place.mkdir()
    cgroup = f"/moored-bench-pods-{os.getpid()}"
    here = bundle(directory / "bundle", root)
    pods = Group(cgroup.lstrip("/"))
    walls, cpus, peer_walls, peer_cpus = [], [], [], []
    try:
        for turn in range(count // 10):
            clock = Stopwatch(ours, pods)
            begin = [*ours.inside(programs / "bench-sandbox", programs / "moored-shim", root,
                                  *places, cgroup)]
            run(*begin, 0)
            # The start of a process that lives as long as the machine, and a first sandbox.
            once = clock.read()[1]
            clock = Stopwatch(ours, pods)
            lines = run(*begin, 10).stdout.split()
            walls += [float(line) for line in lines]
            cpus.append((clock.read()[1] - once) * 1000 / 10)
            clock = Stopwatch(theirs)
            lines = run("unshare", "-m", "python3", "-c", PEER, theirs.entrance, 10,
                        f"bench-{os.getpid()}-{turn}", cwd=here).stdout.split()
            peer_walls += [float(line) for line in lines]
            peer_cpus.append(clock.read()[1] * 1000 / 10)
    finally:
        transient.close()
        for group in (ours, theirs):
            harness.eventually(f"{group.directory} to be empty", lambda g=group: removed(g), 10)
    return [Row("/bin/true in a sandbox to reaped: wall", "ms", walls, "crun run", peer_walls, 0.6,
                0.25),
            Row("/bin/true in a sandbox to reaped: cpu", "ms", cpus, "crun run", peer_cpus, 0.5,
                0.25)]


def removed(group):
    group.remove()
    return True
