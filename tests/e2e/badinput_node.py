"""A real daemon that runs the good state, and everything that may be asked of it afterwards.

A control repository declares the sources: "baseline" (the good state, on top of which bad commits
come), "steady" (another team's source, which must stay on schedule meanwhile), and what a case adds.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import threading
import time

import harness
from harness import eventually

PORT_OF_WEB = 8080
FRESH_BYTES = 12 << 20  # a worker that was not there before may have this much for itself
CANARIES = ("hook-ran", "ref-ran", "submodule-ran", "url-ran", "ran-by-render", "escape-i")
SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: {name}, namespace: fleet}}
spec: {{url: {url}, interval: 1s, ref: {{{ref}}}}}
"""
UNIT = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: fleet}}
spec:
  {{interval: 1s, path: {path}, prune: true, sourceRef: {{kind: GitRepository, name: {name}}}}}
"""
# What the good state needs under the policy restricted, before its list of containers.
RESTRICTED = """\
      securityContext:
        {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          name: web
"""
STEADY = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: steady, namespace: fleet}\n"


def reference(ref):
    """A reference as the field of a GitRepository that takes it."""
    if ref.startswith("refs/heads/"):
        return "branch: " + json.dumps(ref[len("refs/heads/"):])
    return "name: " + json.dumps(ref)


class Builder:
    """Runs the scripts of cases one after another in the background: some take a minute."""

    def __init__(self, node, cases):
        self.outputs = {}
        self.done = {case.name: threading.Event() for case in cases}
        self.errors = {}
        self.stopped = False
        self.directory = node.world.directory
        self.cases = list(cases)
        (self.directory / "made").mkdir(exist_ok=True)
        self.thread = threading.Thread(target=self._build, daemon=True)
        self.thread.start()

    def _build(self):
        for case in self.cases:
            if self.stopped:
                return
            top = "git" if case.channel == "git" else "made"
            output = self.directory / top / (case.name + (".git" if top == "git" else ""))
            self.outputs[case.name] = output
            try:
                harness.run("nice", case.folder / "make.sh", output, timeout=1200,
                            cwd=self.directory)
            except (harness.Failed, harness.subprocess.SubprocessError) as error:
                self.errors[case.name] = str(error)
            self.done[case.name].set()

    def output(self, case):
        """What the case's script has made; waits for it."""
        self.done[case.name].wait(1800)
        if case.name in self.errors:
            raise harness.Failed(self.errors[case.name])
        return self.outputs[case.name]

    def close(self):
        self.stopped = True
        self.thread.join()


def documents(text):
    """The documents of a YAML file, as text with the separators that make it a file again."""
    return [part for part in re.split(r"(?m)^---\s*$\n?", text) if part.strip()]


def kind_of(document):
    found = [re.search(rf"(?m)^{key}:\s*(\S+)", document) for key in ("apiVersion", "kind")]
    return tuple(match.group(1) if match else "" for match in found)


class Memory:
    """The peak of the resident memory of every process of a daemon since reset()."""

    def __init__(self, pid):
        self.pid = pid
        self.lock = threading.Lock()
        self.before, self.peaks = {}, {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def processes(self):
        """(pid, name, resident bytes, peak bytes) of the daemon and of what it spawned."""
        pids = [self.pid]
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with contextlib.suppress(OSError):
                    path = pathlib.Path(f"/proc/{self.pid}/task/{task}/children")
                    pids += [int(word) for word in path.read_text().split()]
        for pid in pids:
            with contextlib.suppress(OSError, AttributeError):
                text = pathlib.Path(f"/proc/{pid}/status").read_text()
                name, peak, now = (re.search(rf"(?m)^{key}:\s*(\S+)", text).group(1)
                                   for key in ("Name", "VmHWM", "VmRSS"))
                yield pid, name, int(now) << 10, int(peak) << 10

    def reset(self):
        with self.lock:
            self.before, self.peaks = {}, {}
            for pid, name, now, _ in self.processes():
                with contextlib.suppress(OSError):
                    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
                self.before[name] = max(now, self.before.get(name, 0))

    def growth(self):
        """The most that any one program has grown since reset(), and its name."""
        self._look()
        with self.lock:
            rows = [(peak - self.before.get(name, FRESH_BYTES), name)
                    for name, peak in self.peaks.items()]
        return max(rows, default=(0, ""))

    def _look(self):
        with self.lock:
            for _, name, _, peak in self.processes():
                self.peaks[name] = max(peak, self.peaks.get(name, 0))

    def _watch(self):
        while not self.stopped.wait(0.05):
            self._look()

    def close(self):
        self.stopped.set()
        self.thread.join(5)


class Node:
    """One network namespace, one daemon, its repositories and the good state running on it."""

    def __init__(self, fixtures, local=True, policy="baseline", transport="local"):
        self.transport = transport
        self.world = harness.World()
        self.memory = self.builder = None
        try:
            self._make(pathlib.Path(fixtures), local, policy)
        except BaseException:
            self.close()
            raise

    def _make(self, fixtures, local, policy):
        self.world.enter()
        directory = self.world.directory
        self.fixtures = directory / "cases"
        shutil.copytree(fixtures, self.fixtures, symlinks=True)
        self.config = directory / "moored.yaml"
        self._configure(local, policy)
        self.control = harness.Repository(self.world, "control")
        self.control.write("namespace.yaml",
                           "apiVersion: v1\nkind: Namespace\nmetadata: {name: fleet}\n")
        self.control.push("Start")
        self.daemon = self.world.daemon(
            "node", "--git", str(self.control.bare), "--config", str(self.config))
        self.daemon.start()
        self.memory = Memory(self.daemon.process.pid)
        self.instance = self.daemon.instance()
        self.left_out = self._fit_baseline()
        if policy == "restricted":
            web = self.fixtures / "_baseline/repo/20-web.yaml"
            web.write_text(web.read_text().replace(
                "      containers:\n        - name: web\n", RESTRICTED))
        self._import_images()
        self.origin = directory / "git" / "baseline.git"
        self.good = self._make_repository(self.origin)
        self.tree = directory / "tree" / "baseline"
        self.steady = None
        self.main = "fleet/baseline" if local else "moored-system/default"
        if local:
            self._declare_sources()
        else:  # the first source is the only one that may be a local path, so it holds all
            shutil.copytree(self.fixtures / "_baseline/repo", self.control.tree,
                            dirs_exist_ok=True)
            self.judged(self.control.push("The good state"))
        try:
            eventually("the good state", lambda: len(self.pods()) == 2 and self.settled(), 60)
        except harness.Failed as error:
            raise harness.Failed(f"{error}\n{self.ask('/status')[1]}\n{self.daemon.tail(10)}")
        eventually("a quiet node", self._quiet, 60)

    def _configure(self, local, policy):
        self.config.write_text(
            f"sources: {{allowLocal: {str(local).lower()}}}\n"
            f"policy: {{default: baseline, namespaces: {{shop: {policy}}}}}\n")

    def _fit_baseline(self):
        """Takes out of the good state what discovery does not list; the kinds taken out."""
        known = set()
        for path in ["/api/v1"] + ["/apis/" + version["groupVersion"]
                                   for group in self.json("/apis")["groups"]
                                   for version in group["versions"]]:
            listed = self.json(path)
            known |= {(listed["groupVersion"], row["kind"]) for row in listed["resources"]}
        out = []
        for file in sorted((self.fixtures / "_baseline" / "repo").glob("*.yaml")):
            parts = documents(file.read_text())
            kept = [part for part in parts if kind_of(part) in known]
            out += [kind_of(part)[1] for part in parts if kind_of(part) not in known]
            if not kept:
                file.unlink()
            elif len(kept) < len(parts):
                file.write_text("---\n".join(kept))
        return out

    def _import_images(self):
        """Two versions of a small web server, each an archive made of busybox."""
        import cases_path
        root = cases_path.make_root(self.world.directory)
        (root / "www").mkdir()
        for version in ("1", "2"):
            (root / "www" / "index.html").write_text(f"web {version}\n")
            archive = self.world.directory / f"web-{version}.tar"
            name = f"registry.test/web:{version}"
            harness.run("python3", harness.ROOT / "examples/oci_image.py", "--output", archive,
                        "--name", name, "--layer", root, *[
                            f"--entrypoint={word}" for word in
                            ("/bin/httpd", "-f", "-p", str(PORT_OF_WEB), "-h", "/www")])
            self.daemon.import_image(name, archive)

    def _declare_sources(self):
        self.steady = harness.Repository(self.world, "steady")
        self.steady_count = 0
        self.push_steady()
        self.declare("steady", str(self.steady.bare))
        self.declare("baseline", self.url(self.origin))

    def _quiet(self):
        """Whether nothing has changed for half a second."""
        before = self.snapshot()
        time.sleep(0.5)
        return before == self.snapshot()

    # --- repositories

    def _make_repository(self, path):
        """Builds a bare repository of the good state alone; its commit."""
        harness.run("bash", "-c", f'. "{self.fixtures}/_lib/git.sh"; begin "$1"', "x", path)
        return self.revision_of(path, "refs/heads/main")

    def prebuild(self, cases):
        """Has the scripts of these cases run meanwhile."""
        self.builder = Builder(self, [case for case in cases
                                      if (self.fixtures / case.name / "make.sh").exists()])

    def revision_of(self, repository, ref):
        return harness.run("git", "-C", repository, "rev-parse", "-q", "--verify", ref,
                           check=False).stdout.strip()

    def commit_on_baseline(self, overlay):
        """The id of a commit with the files of a directory on top of the good state."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.fixtures / "_baseline" / "repo", self.tree)
        shutil.copytree(overlay, self.tree, dirs_exist_ok=True, symlinks=True)
        git = ["git", "--git-dir", self.origin, "--work-tree", self.tree]
        index = {**os.environ, "GIT_INDEX_FILE": str(self.world.directory / "index")}
        index.update({f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                      for what, value in (("NAME", "tester"), ("EMAIL", "tester@example.test"))})
        harness.run(*git, "add", "-A", "-f", ".", env=index, cwd=self.tree)
        tree = harness.run(*git, "write-tree", env=index).stdout.strip()
        return harness.run(*git, "commit-tree", tree, "-p", self.good, "-m",
                           f"change {overlay.parent.name}", env=index).stdout.strip()

    def url(self, repository):
        """The URL of a bare repository, over the transport that was asked for."""
        if self.transport == "git":
            return f"git://127.0.0.1:{self.world.git_port}/{repository.name}"
        return str(repository)

    def move(self, commit):
        """Moves the branch that the baseline's source follows, and has it looked at."""
        harness.run("git", "-C", self.origin, "update-ref", "refs/heads/main", commit)
        self.look()

    def look(self, unit="baseline"):
        self.daemon.ctl("sync", f"fleet/{unit}", check=False)

    def declare(self, name, url, ref="refs/heads/main", path="./", unit=True):
        """Pushes a source of this name; what the control unit says once it has been judged."""
        text = SOURCE.format(name=name, url=json.dumps(url), ref=reference(ref))
        text += "---\n" + UNIT.format(name=name, path=json.dumps(path)) if unit else ""
        self.control.write(f"{name}.yaml", text)
        return self.judged(self.control.push(f"Declare {name}"))

    def withdraw(self, name):
        self.control.remove(f"{name}.yaml")
        return self.judged(self.control.push(f"Withdraw {name}"))

    def judged(self, commit):
        self.daemon.ctl("sync", "moored-system/default", check=False)

        def seen():
            row = self.unit("moored-system/default")
            return row if row.get("attempted", "").endswith(commit) else None
        return eventually(f"the control unit at {commit[:8]}", seen, 30)

    def push_steady(self):
        """The other team pushes something, which must arrive whatever the case does."""
        if self.steady is None:
            return
        self.steady_count += 1
        self.steady.write("steady.yaml", STEADY + f"data: {{count: '{self.steady_count}'}}\n")
        self.steady_commit = self.steady.push(f"Steady {self.steady_count}")

    # --- what the daemon says

    def ask(self, path):
        return self.daemon.ask(path)

    def json(self, path):
        status, text = self.ask(path)
        if status != 200:
            raise harness.Failed(f"GET {path}: {status} {text[:300]}")
        return json.loads(text)

    def unit(self, name=None):
        return self._row("units", name or self.main)

    def source(self, name=None):
        return self._row("sources", name or self.main)

    def _row(self, part, name):
        return next((row for row in self.json("/status")[part] if row["name"] == name), {})

    def settled(self):
        """Whether the good state is what runs, and all is well with it."""
        row = self.unit()
        wanted = self.good if self.steady else row["attempted"]
        return row.get("ready") and row["revision"].endswith(wanted)

    def steady_on_schedule(self):
        return self.steady is None or self.unit(
            "fleet/steady")["revision"].endswith(self.steady_commit)

    def pods(self, namespace="shop", app="web"):
        """uid to restarts of the ready pods of an application."""
        rows = self.json(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{app}")["items"]
        return {row["metadata"]["uid"]: sum(one["restartCount"]
                                            for one in row["status"]["containerStatuses"])
                for row in rows if "deletionTimestamp" not in row["metadata"] and any(
                    condition["type"] == "Ready" and condition["status"] == "True"
                    for condition in row["status"].get("conditions", []))}

    def lists(self):
        """Every list of every kind, as the API answers it."""
        for path in ["/api/v1"] + ["/apis/" + version["groupVersion"]
                                   for group in self.json("/apis")["groups"]
                                   for version in group["versions"]]:
            for row in self.json(path)["resources"]:
                if "list" in row["verbs"]:
                    yield self.ask(f"{path}/{row['name']}")[1]

    def audit(self, after=0):
        """Rows of the audit chain as (seq, previous hash, text, hash)."""
        path = self.daemon.state_dir / "store" / "moored.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            return store.execute("SELECT seq, prev_hash, canonical_json, hash FROM audit "
                                 "WHERE seq > ? ORDER BY seq", (after,)).fetchall()

    def audit_end(self):
        rows = self.audit()
        return rows[-1] if rows else (0, "", "", "")

    def log_size(self):
        return self.daemon.output.stat().st_size

    def log_since(self, offset):
        with open(self.daemon.output, "rb") as file:
            file.seek(offset)
            return file.read()

    # --- what is on the machine

    def snapshot(self):
        """What this daemon has made: processes, cgroups, mounts, links, rules, files."""
        daemon = self.daemon
        found = {}
        for _, name, _, _ in self.memory.processes():
            found["process " + name] = found.get("process " + name, 0) + 1
        for pattern in (f"moored-{self.instance}", f"*/moored-{self.instance}"):
            for top in pathlib.Path("/sys/fs/cgroup").glob(pattern):
                found.update((f"cgroup {path}", 1) for path, _, _ in os.walk(top))
        own = str(self.world.directory)
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split(" ")[4]
            if point.startswith(own):
                found["mount " + point] = found.get("mount " + point, 0) + 1
        links = json.loads(harness.run("ip", "-j", "link").stdout)
        found.update(("link " + row["ifname"], 1) for row in links)
        rules = harness.run("nft", "-s", "list", "ruleset").stdout
        found.update(("rule " + line.strip(), 1) for line in rules.splitlines())
        for part, depth in ((daemon.run_dir, 3), (daemon.state_dir, 2), (daemon.log_dir, 2)):
            found.update(("file " + str(path), 1) for path in walk(part, depth)
                         if "/mirrors/" not in str(path) and "/store/" not in str(path))
        return found

    def canaries(self):
        """Files that only a hostile input makes, where it would make them."""
        tops = [pathlib.Path(top) for top in ("/", "/etc", "/etc/cron.d", "/tmp", "/root", "/bin",
                                              "/var/tmp", os.getcwd())]
        tops += [self.world.directory, *walk(self.daemon.directory, 3)]
        found = set()
        for top in tops:
            with contextlib.suppress(OSError):
                found |= {str(top / name) for name in os.listdir(top)
                          if name.startswith(CANARIES)}
        return sorted(found)

    def close(self):
        for part in (self.builder, self.memory):
            if part is not None:
                part.close()
        self.world.close()


def walk(top, depth):
    """Paths below a directory, down to a depth, without what goes away meanwhile."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(top):
            yield pathlib.Path(entry.path)
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, depth - 1)


def chain_breaks(before, rows):
    """The first row of an audit chain that does not follow the one before it, or none."""
    seq, previous = before[0], before[3]
    for row in rows:
        want = hashlib.sha256(f"{row[1]}\n{row[0]}\n{row[2]}".encode()).hexdigest()
        if row[0] != seq + 1 or row[1] != previous or row[3] != want:
            return f"the audit chain breaks at row {row[0]}"
        seq, previous = row[0], row[3]
    return None
