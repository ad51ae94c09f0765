"""What every end-to-end test needs: a network namespace, a git server, a daemon, kubectl.

Everything is made below one temporary directory and one network namespace with a name of its
own, so that two runs can go side by side; close() takes all of it away, also after a failure.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("MOORED_BIN", ROOT / "build/dev/bin"))
NEW_KUBECTL = shutil.which("kubectl")


class Failed(AssertionError):
    """A wait that ended without what was waited for; carries what was seen last."""


def run(*command, check=True, timeout=60, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                            timeout=timeout, **options)
    if check and result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} exited {result.returncode}:\n"
                     f"{result.stdout[-4000:]}{result.stderr[-4000:]}")
    return result


def eventually(what, check, timeout=60.0):
    """Calls check until it returns something true; its last result or error is in the failure."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except (Failed, subprocess.SubprocessError, json.JSONDecodeError, KeyError, IndexError,
                OSError) as error:
            last = error
        time.sleep(0.1)
    raise Failed(f"waited {timeout:.0f} s for {what}; last seen: {last}")


class Repository:
    """A bare repository that a real git daemon serves, and a work tree that pushes to it."""

    def __init__(self, world, name="manifests"):
        self.world = world
        self.bare = world.directory / "git" / f"{name}.git"
        self.tree = world.directory / "tree" / name
        run("git", "init", "-q", "--bare", "-b", "main", self.bare)
        run("git", "init", "-q", "-b", "main", self.tree)
        self.git("config", "user.name", "Ada Admin")
        self.git("config", "user.email", "ada@example.org")
        self.git("remote", "add", "origin", str(self.bare))
        self.url = f"git://127.0.0.1:{world.git_port}/{name}.git"

    def git(self, *arguments, check=True):
        return run("git", "-C", self.tree, *arguments, check=check).stdout.strip()

    def write(self, path, text):
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def replace(self, path, before, after):
        text = (self.tree / path).read_text()
        assert before in text, f"{before!r} is not in {path}"
        self.write(path, text.replace(before, after))

    def remove(self, path):
        (self.tree / path).unlink()

    def push(self, message, branch="main"):
        """Commits everything and pushes; the full id of the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


class Daemon:
    """One moored daemon with directories of its own, in the world's network namespace."""

    def __init__(self, world, name, *arguments):
        self.world = world
        self.name = name
        self.directory = world.directory / name
        self.run_dir = self.directory / "run"
        self.state_dir = self.directory / "state"
        self.log_dir = self.directory / "log"
        for path in (self.run_dir, self.state_dir, self.log_dir):
            path.mkdir(parents=True)
        self.output = self.directory / "daemon.log"
        self.arguments = [
            BIN / "moored", "run", "--interval", "1s", "--state-dir", self.state_dir,
            "--run-dir", self.run_dir, "--log-dir", self.log_dir, "--listen", "127.0.0.1:0",
            "--node-name", name, *arguments]
        self.process = None
        self.port = 0

    def start(self):
        self.launch()
        self.wait_for_api()
        return self

    def launch(self):
        """Starts the process and does not wait for anything."""
        with contextlib.suppress(FileNotFoundError):
            (self.run_dir / "api.json").unlink()
        with open(self.output, "ab") as log:
            self.process = subprocess.Popen(
                self.world.inside(*self.arguments), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True)

    def wait_for_api(self):
        eventually("the API to listen", self._listening, 30)

    def _listening(self):
        if self.process.poll() is not None:
            raise Failed(f"moored exited {self.process.returncode}:\n{self.tail()}")
        listen = json.loads((self.run_dir / "api.json").read_text())["listen"]
        self.port = int(listen.rsplit(":", 1)[1])
        return self.port

    def tail(self, count=40):
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-count:])

    def kill(self, number=signal.SIGKILL):
        os.kill(self.process.pid, number)
        self.process.wait(30)

    def ctl(self, *arguments, check=True, timeout=120):
        return run(*self.world.inside(BIN / "moorctl", "--run-dir", self.run_dir, *arguments),
                   check=check, timeout=timeout)

    def report(self, *arguments):
        return json.loads(self.ctl(*arguments, "-o", "json").stdout)

    def kubectl(self, *arguments, check=True, timeout=60, program=None):
        return run(*self.world.inside(
            program or NEW_KUBECTL, "--cache-dir", self.directory / "kube-cache",
            "-s", f"http://127.0.0.1:{self.port}", *arguments), check=check, timeout=timeout)

    def ask(self, path):
        """Status and text of a GET, from a process that is in the world's network namespace."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode(errors="surrogateescape")
        finally:
            link.close()

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def pods(self, namespace, selector=""):
        arguments = ["pods", "-n", namespace] + (["-l", selector] if selector else [])
        return self.get(*arguments)["items"]

    def ready_pods(self, namespace, selector=""):
        return [pod for pod in self.pods(namespace, selector)
                if "deletionTimestamp" not in pod["metadata"] and any(
                    row["type"] == "Ready" and row["status"] == "True"
                    for row in pod.get("status", {}).get("conditions", []))]

    def sync(self):
        self.ctl("sync", "--wait", timeout=180)

    def import_image(self, name, path):
        self.ctl("image", "import", name, path)

    def invariants(self, *arguments):
        """The checker's findings, one for each line; empty when all is well."""
        result = run(*self.world.inside(BIN / "moored-invariants", "--state-dir", self.state_dir,
                                        "--run-dir", self.run_dir, *arguments), check=False)
        return (result.stdout + result.stderr).strip() if result.returncode else ""

    def instance(self):
        return (self.state_dir / "instance").read_text().strip()

    def down(self):
        """Stops everything this daemon made, starting it again for that if it is not running."""
        if not (self.state_dir / "instance").exists():
            return
        if self.process is None or self.process.poll() is not None:
            self.start()
        instance = self.instance()
        self.ctl("down", "--all", timeout=180)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        if self.process.poll() is None:
            raise Failed("the daemon still runs after down --all")
        left = self.invariants("--gone", "--instance", instance)
        if left:
            raise Failed(f"left after down --all:\n{left}")


class World:
    """One temporary directory, one network namespace, one git daemon."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moored-e2e-"))
        os.chmod(self.directory, 0o755)
        self.namespace = "moored-e2e-" + uuid.uuid4().hex[:8]
        self.daemons = []
        self.children = []
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        (self.directory / "git").mkdir()
        self.git_port = 9418  # of this namespace only
        self.start("git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack",
                   "--listen=127.0.0.1", f"--port={self.git_port}",
                   f"--base-path={self.directory / 'git'}", self.directory / "git")

    def inside(self, *command):
        # Only the network is the test's own: mounts stay visible to a daemon that is started again.
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def start(self, *command, **options):
        child = subprocess.Popen(self.inside(*command), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 start_new_session=True, **options)
        self.children.append(child)
        return child

    def enter(self):
        """Puts this process into the network namespace, to speak to a daemon directly."""
        with open(f"/run/netns/{self.namespace}", "rb") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def daemon(self, name="node", *arguments):
        daemon = Daemon(self, name, *arguments)
        self.daemons.append(daemon)
        return daemon

    def http(self, url, *arguments, timeout=10):
        return run(*self.inside("curl", "-sS", "--max-time", "5", *arguments, url),
                   timeout=timeout).stdout

    def close(self):
        problems = []
        for daemon in self.daemons:
            try:
                daemon.down()
            except (Failed, subprocess.SubprocessError, OSError) as error:
                problems.append(f"{daemon.name}: {error}\n{daemon.tail(15)}")
                if daemon.process is not None and daemon.process.poll() is None:
                    daemon.kill()
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.wait(10)
        run("ip", "netns", "del", self.namespace, check=False)
        if problems:
            raise Failed("\n".join(problems) + f"\n(kept: {self.directory})")
        shutil.rmtree(self.directory, ignore_errors=True)


class RequestLoop:
    """Requests to one URL without a pause, from inside the namespace; counts what failed."""

    CODE = """
import http.client, sys, time, json, os
host, port, path, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
good, bad, seen = 0, [], {}
while not os.path.exists(stop):
    try:
        link = http.client.HTTPConnection(host, port, timeout=5)
        link.request("GET", path)
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        if answer.status != 200:
            raise OSError("status %d" % answer.status)
        good += 1
        first = text.splitlines()[0] if text else ""
        seen[first] = seen.get(first, 0) + 1
    except (OSError, http.client.HTTPException) as error:
        bad.append("%.3f %s: %s" % (time.time(), type(error).__name__, error))
    time.sleep(0.002)
print(json.dumps({"good": good, "bad": bad, "seen": seen}))
"""

    def __init__(self, world, host, port, path="/version"):
        self.stop_file = world.directory / ("stop-" + uuid.uuid4().hex[:8])
        self.child = subprocess.Popen(
            world.inside("python3", "-c", self.CODE, host, str(port), path, self.stop_file),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        world.children.append(self.child)  # ends with the world when a test fails before stop()

    def stop(self):
        self.stop_file.touch()
        out, err = self.child.communicate(timeout=30)
        if self.child.returncode != 0:
            raise Failed(err)
        return json.loads(out)


def end_on_signal():
    """Lets SIGTERM and SIGHUP end a program as an exception does, so that it cleans up."""
    def leave(number, frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def follow(process, lines):
    """Collects the lines of a process in the background."""
    def read():
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
