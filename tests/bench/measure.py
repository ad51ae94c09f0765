"""Figures of the benches: wall time, processor time of whole process groups, memory, and ratios.

Processor time is read from a control group, so that workers, shims and pods count too and a
process that ended is not lost. Everything is repeated; median, minimum and maximum are kept.
"""
import dataclasses
import os
import pathlib
import statistics
import time

V1 = pathlib.Path("/sys/fs/cgroup/cpuacct")
V2 = pathlib.Path("/sys/fs/cgroup")


class Group:
    """A control group of our own, or one that another program makes below a known name."""

    def __init__(self, name):
        self.directory = (V1 if V1.is_dir() else V2) / name

    def create(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    @property
    def procs(self):
        return self.directory / "cgroup.procs"

    @property
    def entrance(self):
        """Where a process of one thread writes 0 to be in the group, without waiting for others."""
        return self.directory / ("tasks" if V1.is_dir() else "cgroup.procs")

    def cpu(self):
        """Seconds used since the group was made, of processes that ended too; 0 without a group."""
        try:
            if V1.is_dir():
                return int((self.directory / "cpuacct.usage").read_text()) / 1e9
            for line in (self.directory / "cpu.stat").read_text().splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) / 1e6
        except FileNotFoundError:
            pass
        return 0.0

    def inside(self, *command):
        """The command that runs another one in this group."""
        return ["sh", "-c", f'echo $$ > "{self.procs}"; exec "$@"', "sh", *map(str, command)]

    def remove(self):
        """Removes the group and what is left below it; its processes must be gone."""
        for directory in sorted(self.directory.rglob("*"), reverse=True):
            if directory.is_dir():
                directory.rmdir()
        if self.directory.is_dir():
            self.directory.rmdir()


def processes(name):
    """Pids of the processes whose program file has this name."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.path.basename(words[0]).decode(errors="replace") == name:
                found.append(int(entry))
    return found


def proportional_kib(pid):
    """Proportional set size in KiB; 0 for a process that is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def written_bytes(pid):
    """Bytes this process sent towards the disk so far."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Stopwatch:
    """Wall seconds and processor seconds of some groups, from its start to read()."""

    def __init__(self, *groups):
        self.groups = groups
        self.cpu_before = sum(group.cpu() for group in groups)
        self.began = time.monotonic()

    def read(self, ended=None):
        wall = (ended or time.monotonic()) - self.began
        return wall, sum(group.cpu() for group in self.groups) - self.cpu_before


@dataclasses.dataclass
class Row:
    """One line of the table. `must` and `aim` bound ours/peer, or ours alone without a peer."""

    what: str
    unit: str
    ours: list
    peer_name: str = ""
    peer: list = dataclasses.field(default_factory=list)
    must: float = None
    aim: float = None

    @property
    def figure(self):
        mine = statistics.median(self.ours)
        if not self.peer_name:
            return mine
        theirs = statistics.median(self.peer)
        return mine / theirs if theirs else float("inf")

    @property
    def verdict(self):
        if self.must is not None and self.figure > self.must:
            return "MISSED"
        if self.aim is not None and self.figure > self.aim:
            return "must"
        return "aim" if self.aim is not None else "held"

    @staticmethod
    def spread(values):
        if not values:
            return "-"
        return (f"{statistics.median(values):.4g} "
                f"({min(values):.4g} to {max(values):.4g}, n={len(values)})")

    def text(self):
        bound = "" if self.must is None else f"{self.must:g}"
        aim = "" if self.aim is None else f"{self.aim:g}"
        return (f"| {self.what} [{self.unit}] | {self.spread(self.ours)} | {self.peer_name} "
                f"{self.spread(self.peer) if self.peer else ''} | {self.figure:.3g} | {bound} | {aim} "
                f"| {self.verdict} |")


HEAD = ("| what | moored: median (range) | peer: median (range) | figure | must | aim | reached |\n"
        "|---|---|---|---|---|---|---|")
