"""Sources and manifests: polling, a small change in a large repository, cold parsing."""
import datetime
import os
import shutil
import socket
import subprocess
import time

import harness
from harness import run
from measure import Group, Row, Stopwatch

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{number}
  labels: {{app: app-{number}, tier: web, part-of: bench}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: app-{number}}}}}
  template:
    metadata: {{labels: {{app: app-{number}}}}}
    spec:
      containers:
        - name: main
          image: registry.example.org/team/app-{number}:1.{minor}
          ports: [{{containerPort: 8080, name: http}}]
          env:
            - {{name: LEVEL, value: "{minor}"}}
          resources:
            requests: {{cpu: 10m, memory: 16Mi}}
            limits: {{memory: 64Mi}}
          readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 5}}
"""


def write_manifests(directory, count):
    for number in range(count):
        path = directory / f"d{number % 100}" / f"m{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MANIFEST.format(number=number, minor=number % 7))


class HttpServer:
    """nginx in front of git http-backend, in the current network namespace, on a free port."""

    def __init__(self, directory, root):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.directory = directory
        socket_path = directory / "cgi.sock"
        self.children = [self._start("fcgiwrap", "-f", "-c", "1", "-s", f"unix:{socket_path}")]
        harness.eventually("fcgiwrap", socket_path.exists)
        temporary = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in
                             ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (directory / "nginx.conf").write_text(f"""\
user root; worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{}}
http {{
  access_log off; {temporary}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      fastcgi_pass unix:{socket_path};
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param PATH_INFO $uri;
    }}
  }}
}}
""")
        self.children.append(self._start("nginx", "-c", str(directory / "nginx.conf")))
        harness.eventually("nginx", lambda: run("git", "ls-remote", self.url("polled"),
                                                check=False).returncode == 0)

    @staticmethod
    def _start(*command):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def close(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait(10)


def polls(directory, programs, repetitions):
    """A look that finds nothing new, over HTTP; the server's time is in both walls."""
    bare = directory / "git" / "polled.git"
    tree = directory / "polled"
    run("git", "init", "-q", "--bare", "-b", "main", bare)
    run("git", "init", "-q", "-b", "main", tree)
    write_manifests(tree, 100)
    run("git", "-C", tree, "add", "-A")
    run("git", "-C", tree, "-c", "user.name=B", "-c", "user.email=b@example.org", "commit", "-q",
        "-m", "One")
    run("git", "-C", tree, "push", "-q", bare, "main")
    ours, theirs = Group(f"moored-bench-poll-{os.getpid()}").create(), Group(
        f"moored-bench-lsremote-{os.getpid()}").create()
    (directory / "http").mkdir()
    server = HttpServer(directory / "http", directory / "git")
    try:
        clock = Stopwatch(ours)
        text = run(*ours.inside(programs / "bench-poll", programs / "moored-git",
                                server.url("polled"), directory / "mirrors", repetitions)).stdout
        cpu_all = clock.read()[1]
        clock = Stopwatch(ours)
        run(*ours.inside(programs / "bench-poll", programs / "moored-git", server.url("polled"),
                         directory / "mirrors-one", 0))
        # What starting the worker and the first fetch cost is not part of a look.
        cpu = max(cpu_all - clock.read()[1], 0.0) / repetitions
        walls, cpus = [], []
        for _ in range(repetitions):
            clock = Stopwatch(theirs)
            run(*theirs.inside("git", "ls-remote", server.url("polled"), "refs/heads/main"))
            wall, used = clock.read()
            walls.append(wall * 1000)
            cpus.append(used * 1000)
    finally:
        server.close()
        ours.remove()
        theirs.remove()
    return [Row("no-change poll over HTTP: wall", "ms", [float(line) for line in text.split()],
                "git ls-remote", walls, 0.35, 0.2),
            Row("no-change poll over HTTP: cpu", "ms", [cpu * 1000], "git ls-remote", cpus, 0.1,
                0.03)]


def parsing(directory, programs, repetitions):
    tree = directory / "manifests"
    write_manifests(tree, 10_000)
    size = sum(path.stat().st_size for path in tree.rglob("*.yaml")) / 1e6
    ours, theirs = [], []
    for _ in range(repetitions):
        began = time.monotonic()
        run(programs / "moorctl", "validate", tree, timeout=300)
        ours.append((time.monotonic() - began) / size)
        began = time.monotonic()
        run("kubectl", "label", "--local", "-f", tree, "-R", "bench=1", "-o", "name", timeout=300)
        theirs.append((time.monotonic() - began) / size)
    # "1.2 times as fast" as a ratio of times.
    return [Row("cold read, parse and validate of 10,000 manifests: wall for a MB", "s", ours,
                "kubectl label --local", theirs, 1 / 1.2, 1 / 3)]


def change(node, directory, repetitions):
    """One file of 50,000, 10,000 of them manifests: from the push being told to the plan."""
    tree = node.repository.tree
    # With what other rows have left there: a commit may hold no more.
    write_manifests(tree / "app" / "many", 10_000 - len(list((tree / "app").rglob("*.yaml"))))
    for number in range(40_000):
        path = tree / "other" / f"d{number % 200}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    node.repository.push("Fifty thousand files")
    node.daemon.sync()
    clone = directory / "clone"
    run("git", "clone", "-q", "--bare", node.repository.bare, clone, timeout=300)
    ours, theirs = [], []
    for turn in range(repetitions):
        node.repository.replace("app/many/d7/m7.yaml", f"value: \"{turn if turn else 0}\"",
                                f"value: \"{turn + 1}\"")
        sha = node.repository.push(f"Change {turn}")
        told = time.time()
        node.tell()
        ours.append(planned_after(node, sha, told))
        began = time.monotonic()
        run("git", "-C", clone, "fetch", "-q", node.repository.bare, "main:seen")
        run("kubectl", "label", "--local", "-f", tree / "app", "-R", "bench=1", "-o", "name",
            timeout=300)
        theirs.append(time.monotonic() - began)
    shutil.rmtree(clone)
    return [Row("one-file change among 50,000 files to its plan: wall", "s", ours,
                "git fetch + kubectl label --local", theirs, 0.03, 0.015)]


def planned_after(node, sha, told):
    """Seconds from the wall clock time told to the moment at which the plan of a commit was made."""
    def found():
        for step in node.daemon.report("trace", sha)["steps"]:
            if step["name"] == "planned":
                return datetime.datetime.fromisoformat(step["time"].replace("Z", "+00:00"))
        return None
    # The receipt has the time: asking at once would only take a core from who is measured.
    time.sleep(2)
    return harness.eventually(f"the plan of {sha[:12]}", found, 120).timestamp() - told
