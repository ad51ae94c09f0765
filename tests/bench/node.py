"""moored as it is measured: a daemon with its own network, repository and processor account."""
import ctypes
import http.client
import json
import os
import threading
import time

import harness
from measure import Group
from places import Transient

CLONE_NEWNET = 0x40000000


class Watch(threading.Thread):
    """Follows the pods of one namespace by the API's watch, as a client of the node would."""

    def __init__(self, world, port, namespace):
        super().__init__(daemon=True)
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self.world, self.port = world, port
        self.ready = set()
        self.known = set()
        self.news = threading.Condition()
        self.error = None
        self.start()

    def run(self):
        try:
            space = os.open(f"/run/netns/{self.world.namespace}", os.O_RDONLY)
            if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(space)
            link = http.client.HTTPConnection("127.0.0.1", self.port)
            link.request("GET", self.path + "?watch=1")
            for line in link.getresponse():
                if line.strip():
                    self.take(json.loads(line))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = error

    def take(self, event):
        pod = event["object"]
        name = pod["metadata"]["name"]
        ready = any(row["type"] == "Ready" and row["status"] == "True"
                    for row in pod.get("status", {}).get("conditions", []))
        with self.news:
            self.known.discard(name) if event["type"] == "DELETED" else self.known.add(name)
            if ready and event["type"] != "DELETED":
                self.ready.add(name)
            else:
                self.ready.discard(name)
            self.news.notify_all()

    def wait(self, condition, seconds=120):
        """The moment at which condition(watch) held."""
        end = time.monotonic() + seconds
        with self.news:
            while not condition(self):
                if self.error or time.monotonic() > end:
                    raise harness.Failed(f"watch: {self.error}; ready {len(self.ready)}")
                self.news.wait(1)
        return time.monotonic()


class Node:
    """One daemon, its repository, and the groups that hold all of its processes."""

    def __init__(self, archive, image, *arguments):
        self.world = harness.World()
        self.transient = Transient()
        try:
            self.repository = harness.Repository(self.world)
            # A tree without any object would be held, as it could be a mistake.
            self.repository.write("app/keep.yaml", "apiVersion: v1\nkind: ConfigMap\n"
                                  "metadata: {name: keep}\n")
            self.repository.push("Begin")
            self.group = Group(f"moored-bench-{os.getpid()}-{id(self):x}").create()
            self.daemon = self.world.daemon("bench", "--git", self.repository.url, "--path", "app",
                                            *arguments)
            # Looks only when it is told, so that a look never falls into another measurement.
            changed = {"1s": "1h", self.daemon.run_dir: self.transient.path}
            self.daemon.run_dir = self.transient.path
            words = [changed.get(word, word) for word in self.daemon.arguments]
            self.daemon.arguments = self.group.inside(*words)
            self.daemon.start()
            self.pods = Group(f"moored-{self.daemon.instance()}")
            self.daemon.import_image(image, archive)
            self.daemon.sync()
            self.follow()
        except BaseException:
            self.close()
            raise

    def follow(self):
        """A new watch, after the daemon was started."""
        self.watch = Watch(self.world, self.daemon.port, "default")

    def restart(self):
        """Starts the daemon again, without waiting for its API."""
        self.daemon.launch()

    def count_shims(self):
        """Shims that the daemon is connected to."""
        try:
            with open(f"/proc/{self.daemon.process.pid}/net/unix", encoding="utf-8") as rows:
                # Sockets of the daemon's network namespace, the shims' ends of connections (03).
                return sum(1 for row in rows
                           if row.rstrip().endswith("/shim.sock") and row.split()[5] == "03")
        except OSError:
            return 0

    @property
    def groups(self):
        return self.group, self.pods

    def tell(self):
        """Says to the daemon that something was pushed; does not wait."""
        harness.run(harness.BIN / "moorctl", "--run-dir", self.daemon.run_dir, "sync")

    def workers(self):
        """Pids of the daemon and of its workers, without shims and pods."""
        return [int(pid) for pid in self.group.procs.read_text().split()]

    def close(self):
        self.world.close()
        self.transient.close()
        if hasattr(self, "group"):
            self.group.remove()
