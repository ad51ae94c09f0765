"""podman and crun as peers, in a mount and network namespace of their own, counted as one group."""
import os
import pathlib
import subprocess
import time

from harness import Failed, run
from measure import Group, processes


SOURCES = pathlib.Path(__file__).resolve().parent


class Podman:
    """Storage, namespaces and a group below one directory; close() removes all of them."""

    def __init__(self, directory, archive):
        self.directory = directory
        self.group = Group(f"moored-bench-podman-{os.getpid()}").create()
        self.holder = subprocess.Popen(
            ["unshare", "-m", "-n", "--propagation", "private", "sleep", "infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            self._set_up(archive)
        except BaseException:
            self.close()
            raise

    def _set_up(self, archive):
        directory = self.directory
        self._wait_for_namespace()
        # crun refuses a version 2 hierarchy beside version 1; the names of networks are podman's.
        self.inside("sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; "
                    "if [ -d /sys/fs/cgroup/cpuacct ]; then "
                    f"mount --bind {self.group.directory} /sys/fs/cgroup/cpuacct; fi; "
                    "ip link set lo up; mkdir -p /run/netns /run/containers; "
                    "mount -t tmpfs none /run/netns; mount --make-shared /run/netns; "
                    "mount -t tmpfs none /run/containers; "
                    f"for d in run tmp; do mkdir -p {directory}/$d; "
                    f"mount -t tmpfs none {directory}/$d; done")
        self._write_configuration()
        self.call("load", "-i", archive)

    def _wait_for_namespace(self):
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == ours:
            time.sleep(0.01)

    def _write_configuration(self):
        clamp = self.directory / "clamp.so"
        run("gcc", "-O2", "-shared", "-fPIC", "-o", clamp, SOURCES / "clamp.c")
        runtime = self.directory / "crun-clamped"
        runtime.write_text(f'#!/bin/sh\nLD_PRELOAD={clamp} exec crun "$@"\n')
        runtime.chmod(0o755)
        self.options = [
            "--root", self.directory / "storage", "--runroot", self.directory / "run",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--storage-driver",
            "overlay", "--network-config-dir", self.directory / "networks", "--tmpdir",
            self.directory / "tmp", "--runtime", runtime]

    def inside(self, *command, check=True):
        return run("nsenter", f"--target={self.holder.pid}", "-m", "-n", *command, check=check,
                   timeout=300)

    def call(self, *arguments, check=True):
        procs = "/sys/fs/cgroup/cpuacct/cgroup.procs"
        if not os.path.isdir("/sys/fs/cgroup/cpuacct"):
            procs = self.group.procs
        return self.inside("sh", "-c", f'echo $$ > {procs}; exec "$@"', "sh", "podman",
                           *self.options, *arguments, check=check)

    def close(self):
        self.call("pod", "rm", "--all", "--force", "--time", "0", check=False)
        self.call("rm", "--all", "--force", "--time", "0", check=False)
        for pid in processes("conmon"):
            if str(self.directory) in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, 9)
        self.holder.kill()
        self.holder.wait()
        end = time.monotonic() + 10
        while True:
            try:
                return self.group.remove()
            except OSError:
                if time.monotonic() > end:
                    raise Failed(f"the group {self.group.directory} is still in use") from None
                time.sleep(0.05)
