"""Runs documents of the corpus by a real daemon, each in a unit and a namespace of its own.

A document asks for images, ConfigMaps, Secrets and ServiceAccounts that are not part of it. They are
read off the pods that it has made, and stand-ins are given: one image of busybox under every name,
with a small program in the place of each command that busybox does not have.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import time

import harness

BATCH = 12
SECONDS = 15       # for a batch to start; what did not is tried once more alone
ALONE_SECONDS = 20
PRIVILEGED = [f"privileged-{number}" for number in range(40)]
CONTROL = """\
apiVersion: v1
kind: Namespace
metadata: {name: fleet}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: corpus, namespace: fleet}
spec: {url: "URL", interval: 1m, ref: {branch: main}}
"""
UNIT = """\
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: fleet}}
spec:
  interval: 1m
  path: ./{name}
  prune: true
  targetNamespace: {namespace}
  sourceRef: {{kind: GitRepository, name: corpus}}
"""
LEVELS = ", ".join(f"{name}: privileged" for name in PRIVILEGED)
# Ends by itself: an init container must, and whatever else it stands for has been started by then.
STAND_IN = "#!/bin/sh\nexec sleep 2\n"


def make_archive(path, root):
    """An archive of the stand-in's root, as an image that runs as an ordinary user."""
    harness.run("python3", harness.ROOT / "examples/oci_image.py", "--output", path, "--name",
                "stand-in", "--layer", root, "--entrypoint=/stand-in", "--user=1000")


class Needs:
    """What pods ask for that is not in their document."""

    def __init__(self):
        self.images, self.programs, self.accounts = set(), set(), set()
        self.objects = {"ConfigMap": {}, "Secret": {}}

    def take_pod(self, spec):
        for container in spec.get("initContainers", []) + spec["containers"]:
            self.images.add(container["image"])
            self.programs.update(container.get("command", [])[:1])
            for row in container.get("env", []):
                for key, reference in (row.get("valueFrom") or {}).items():
                    self.take_reference(key.removesuffix("KeyRef"), reference)
            for row in container.get("envFrom", []):
                for key, reference in row.items():
                    self.take_reference(str(key).removesuffix("Ref"), reference)
        for volume in spec.get("volumes", []):
            for source in [volume] + (volume.get("projected") or {}).get("sources", []):
                for key in ("configMap", "secret"):
                    self.take_reference(key, source.get(key))
        self.accounts.add(spec.get("serviceAccountName", "default"))

    def take_reference(self, key, reference):
        kind = {"configMap": "ConfigMap", "secret": "Secret"}.get(key)
        if kind is None or not reference:
            return
        name = reference.get("name") or reference.get("secretName")
        keys = {row["key"] for row in reference.get("items") or []}
        if "key" in reference:
            keys.add(reference["key"])
        if name:
            self.objects[kind].setdefault(name, set()).update(keys)

    def manifests(self):
        """Stand-ins for the objects, as one file."""
        rows = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
                for name in sorted(self.accounts) if name != "default"]
        for kind, objects in self.objects.items():
            part = "data" if kind == "ConfigMap" else "stringData"
            rows += [{"apiVersion": "v1", "kind": kind, "metadata": {"name": name},
                      part: {key: "stand-in" for key in sorted(keys) or ["stand-in"]}}
                     for name, keys in sorted(objects.items())]
        return "".join("---\n" + json.dumps(row) + "\n" for row in rows)


def without_registry(text):
    """The same manifest, content with the image that is here: a tag that moves is asked for at
    each start, and no registry has the stand-ins."""
    text = re.sub(r"""("?imagePullPolicy"?: *"?)Always""", r"\1IfNotPresent", text)
    if "imagePullPolicy" in text:
        return text
    text = re.sub(r"""("image": *"[^"]*")""", r'\1, "imagePullPolicy": "IfNotPresent"', text)
    return re.sub(r"(?m)^( *)(- +)?(image: *\S.*)$", lambda found: (
        found.group() + "\n" + found.group(1) + " " * len(found.group(2) or "") +
        "imagePullPolicy: IfNotPresent"), text)


def has_started(pod):
    """Whether each container of a pod runs or has run."""
    rows = pod.get("status", {}).get("containerStatuses", [])
    if len(rows) < len(pod["spec"]["containers"]):
        return False
    return all(ran(row) for row in rows)


def ran(row):
    for state in (row.get("state", {}), row.get("lastState", {})):
        if "running" in state:
            return True
        ended = state.get("terminated", {})
        if ended.get("startedAt") and ended.get("reason") != "StartError":
            return True
    return False


def has_no_room(pod):
    return any(row.get("reason") == "Unschedulable"
               for row in pod.get("status", {}).get("conditions", []))


def why_not(pod):
    """In a few words why a pod has not started."""
    status = pod.get("status", {})
    for row in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
        for state in (row.get("state", {}), row.get("lastState", {})):
            for word in ("waiting", "terminated"):
                if state.get(word, {}).get("reason") not in (None, "PodInitializing", "Completed"):
                    return f"{state[word]['reason']}: {state[word].get('message', '')[:200]}"
    for row in status.get("conditions", []):
        if row["status"] == "False" and row.get("message"):
            return f"{row.get('reason')}: {row['message'][:200]}"
    return f"phase {status.get('phase')}"


class Run:
    """One daemon; documents come and go in batches."""

    def __init__(self):
        import cases_path
        self.world = harness.World()
        try:
            self.root = cases_path.make_root(self.world.directory)
            self.put_program("/stand-in")
            self.pinned = self.world.directory / "pinned.tar"
            make_archive(self.pinned, self.root)
            self.images, self.spaces, self.free = set(), set(), list(PRIVILEGED)
            config = self.world.directory / "moored.yaml"
            config.write_text("sources: {allowLocal: true}\npolicy:\n  default: baseline\n"
                              f"  namespaces: {{{LEVELS}}}\n")
            self.control = harness.Repository(self.world, "control")
            self.documents = harness.Repository(self.world, "corpus")
            self.documents.write("README", "Manifests of other people.\n")
            self.documents.push("Start")
            self.control.write("control.yaml", CONTROL.replace("URL", str(self.documents.bare)))
            self.control.push("Start")
            self.daemon = self.world.daemon("node", "--git", str(self.control.bare),
                                            "--config", str(config))
            self.daemon.start()
            self.world.enter()
            listed = self.daemon.ctl("image", "import", "stand-in:pinned", self.pinned, "-o", "json")
            self.digest = re.search(r"sha256:[0-9a-f]{64}", listed.stdout).group()
        except BaseException:
            self.world.close()
            raise

    def put_program(self, path):
        """A stand-in program at a path of the image, unless busybox has it."""
        if "\0" in path or ".." in path or "$" in path:
            return False
        target = self.root / (path.lstrip("/") if "/" in path else "bin/" + path)
        if os.path.lexists(target):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(STAND_IN)
        target.chmod(0o755)
        return True

    def start_all(self, documents):
        """Runs all documents; key → reason of those that did not start."""
        failed = {}
        for number in range(0, len(documents), BATCH):
            failed.update(self.start_batch(number, documents[number:number + BATCH], SECONDS))
        again = [row for row in documents if row.key in failed]
        for number, document in enumerate(again, len(documents)):
            failed.pop(document.key)  # alone: ports and room may have been taken
            failed.update(self.start_batch(number, [document], ALONE_SECONDS))
        return failed

    def start_batch(self, number, batch, seconds):
        """Replaces what runs by a batch; key → reason of the documents that do not start."""
        units = {f"b{number}-{index}": document for index, document in enumerate(batch)}
        spaces = {name: self.free.pop() if document.privileged else name
                  for name, document in units.items()}
        text = CONTROL.replace("URL", str(self.documents.bare))
        self.spaces |= set(spaces.values())
        for space in sorted(self.spaces):  # one that goes would have to be empty before
            text += f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {space}}}\n"
        for name, document in units.items():
            text += UNIT.format(name=name, namespace=spaces[name])
            suffix = pathlib.Path(document.file).suffix
            path = self.documents.tree / name / f"document{suffix}"
            path.parent.mkdir()
            # An image that is named by its digest is named by the stand-in's.
            text_of = re.sub(r"@sha256:[0-9a-f]{64}", "@" + self.digest, document.text)
            path.write_text(without_registry(text_of), errors="surrogateescape")
        self.push_documents(f"Batch {number}")
        self.control.write("control.yaml", text)
        self.apply(self.control.push(f"Batch {number}"))
        self.hasten()
        self.give(self.wait_for_pods(spaces))
        return self.wait_for_start(units, spaces, seconds)

    def hasten(self):
        """Ends what is on its way out at once: few of these programs heed SIGTERM."""
        for pod in json.loads(self.daemon.ask("/api/v1/pods")[1])["items"]:
            if "deletionTimestamp" not in pod["metadata"]:
                continue
            folder = self.daemon.run_dir / "pods" / pod["metadata"]["uid"]
            for path in folder.glob("c/*/*/state.json"):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)

    def apply(self, commit):
        """Waits until the control commit is applied; that it removes a batch is confirmed."""
        self.daemon.ctl("sync", "moored-system/default", check=False)

        def applied():
            row = next(row for row in self.status() if row["name"] == "moored-system/default")
            if row["attempted"].endswith(commit) and row["reason"] == "PruneGuard":
                self.daemon.ctl("confirm", commit, check=False)
            return row["revision"].endswith(commit)
        harness.eventually("the batch declared", applied, 30)

    def status(self):
        return json.loads(self.daemon.ask("/status")[1])["units"]

    def push_documents(self, message):
        self.documents.push(message)
        self.daemon.ctl("sync", "fleet/corpus", check=False)

    def pods(self, spaces):
        """The pods of each unit, which has a namespace of its own, but those on their way out."""
        out = {name: [] for name in spaces}
        units = {space: name for name, space in spaces.items()}
        for pod in json.loads(self.daemon.ask("/api/v1/pods")[1])["items"]:
            unit = units.get(pod["metadata"]["namespace"])
            if unit and "deletionTimestamp" not in pod["metadata"]:
                out[unit].append(pod)
        return out

    def wait_for_pods(self, spaces):
        """Pods of every unit, as far as they come in time."""
        try:
            return harness.eventually("pods of every document", lambda: (
                lambda got: got if all(got.values()) else None)(self.pods(spaces)), 8)
        except harness.Failed:
            return self.pods(spaces)

    def give(self, made):
        """Stand-ins for what the pods ask for."""
        images, changed = set(), False
        for name, pods in made.items():
            needs = Needs()
            for pod in pods:
                needs.take_pod(pod["spec"])
            images |= needs.images
            changed |= any([self.put_program(path) for path in sorted(needs.programs)])
            if needs.manifests():
                (self.documents.tree / name / "stand-ins.yaml").write_text(needs.manifests())
        self.push_documents("Stand-ins")
        archive = self.world.directory / "stand-in.tar"
        if changed or not archive.exists():
            make_archive(archive, self.root)
            self.images = set()
        for image in sorted(images - self.images):
            source = self.pinned if "@" in image else archive
            if self.daemon.ctl("image", "import", image, source, check=False).returncode == 0:
                self.images.add(image)

    def wait_for_start(self, units, spaces, seconds):
        started, last = set(), {}
        began = time.monotonic()
        while time.monotonic() < began + seconds and len(started) < len(units):
            for name, pods in self.pods(spaces).items():
                last[name] = pods
                # Replicas past what one machine has ports and room for are no failure.
                if any(map(has_started, pods)) and all(
                        has_started(pod) or has_no_room(pod) for pod in pods):
                    started.add(name)
            waiting = [pod for name, pods in last.items() if name not in started for pod in pods
                       if not has_started(pod)]
            no_room = waiting and all(has_no_room(pod) for pod in waiting)
            if no_room and len(units) > 1 and time.monotonic() > began + 3:
                break  # tried once more alone
            time.sleep(0.3)
        failed = {}
        for name, document in units.items():
            if name in started:
                continue
            bad = [pod for pod in last.get(name, []) if not has_started(pod)]
            failed[document.key] = why_not(bad[0]) if bad else "no pods: " + self.unit_words(name)
        return failed

    def unit_words(self, name):
        return next((f"{row['reason']}: {row['message'][:300]}" for row in self.status()
                     if row["name"] == f"fleet/{name}"), "no unit")

    def close(self):
        self.world.close()
