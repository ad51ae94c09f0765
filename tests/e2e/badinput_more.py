"""What single cases ask for beyond verdict, reason and place, in the words of their expected.md.

CHECKS names for each case the functions that are called while its input is in place.
"""
import contextlib
import json
import os
import pathlib
import re
import time

import harness

API = "/api/v1/namespaces/"
LOG_BYTES = 5 * (10 << 20) + (1 << 20)  # five files of a container, and the line being written


def rows(found, reason=None):
    """Lines of the refusal that name a file and carry the reason."""
    import badinput_channels as channels
    message = found.words.partition(": ")[2]
    return [row for row in channels.rows_of(message)
            if row["file"] and (reason is None or row["reason"] == reason)]


def places(count, reason=None, key=("file", "line")):
    """At least so many different places of the refusal."""
    def check(node, case, found):
        seen = {tuple(row[part] for part in key) for row in rows(found, reason)}
        if len(seen) < count:
            found.differ(f"{len(seen)} of {count} places are named: {sorted(map(str, seen))}")
    return check


def names(*words):
    """The refusal names all of these."""
    def check(node, case, found):
        missing = [word for word in words if word not in found.words]
        if missing:
            found.differ(f"{missing} not named in {found.words[:500]!r}")
    return check


def config_map(name, wanted=None, namespace="shop", annotations=None):
    """The ConfigMap is there and holds this."""
    def check(node, case, found):
        try:
            harness.eventually("it", lambda: node.ask(
                f"{API}{namespace}/configmaps/{name}")[0] == 200, 5)
            row = node.json(f"{API}{namespace}/configmaps/{name}")
        except harness.Failed as error:
            found.differ(f"ConfigMap {namespace}/{name}: {error}")
            return
        if wanted is not None and row.get("data", {}) != wanted:
            found.differ(f"ConfigMap {name} holds {row.get('data')}, not {wanted}")
        if annotations is not None and row["metadata"].get("annotations") != annotations:
            found.differ(f"ConfigMap {name} has {row['metadata'].get('annotations')}")
    return check


def pod(node, name, namespace="shop"):
    status, text = node.ask(f"{API}{namespace}/pods/{name}")
    return json.loads(text) if status == 200 else {}


def state(row):
    """The state of a pod's first container."""
    return (row.get("status", {}).get("containerStatuses") or [{}])[0].get("state", {})


def until(found, what, check, seconds):
    try:
        return harness.eventually(what, check, seconds)
    except harness.Failed as error:
        found.differ(str(error)[:400])
        return None


def processes_of(node, uid):
    """How many processes the cgroups of a pod hold."""
    pids = set()
    for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/moored-{node.instance}"):
        for path, _, _ in os.walk(top):
            if uid in path:
                with contextlib.suppress(OSError):
                    pids |= set(pathlib.Path(path, "cgroup.procs").read_text().split())
    return len(pids)


# --- cases with a check of their own


def server_fields(node, case, found):
    """Our own uid, version and time; a warning lists what was left out."""
    row = node.json(API + "shop/configmaps/pasted")["metadata"]
    if (row["uid"].startswith("11111111") or row["resourceVersion"] == "999999999" or
            row["creationTimestamp"].startswith("2001") or "deletionTimestamp" in row):
        found.differ(f"a field of the server was believed: {row}")
    said = node.ask("/status")[1] + "".join(node.lists())
    for field in ("metadata.uid", "metadata.resourceVersion", "metadata.deletionTimestamp"):
        if field not in said:
            found.differ(f"no warning names {field}")


def submodules(node, case, found):
    """The status says that submodules are not followed."""
    said = node.ask("/status")[1] + "".join(node.lists())
    if "ubmodule" not in said:
        found.differ("nothing is said of submodules")


def branch_names(node, case, found):
    """Each branch is used by its full name, whatever it looks like."""
    config_map("right")(node, case, found)
    bare = node.world.directory / "git" / f"{case.name}.git"
    for branch in ("-x", found.commit):
        commit = node.revision_of(bare, f"refs/heads/{branch}")
        node.declare("baseline", node.url(bare), ref=f"refs/heads/{branch}")
        until(found, f"the branch {branch}", lambda c=commit: node.unit()["revision"].endswith(c), 10)
        until(found, "the ConfigMap gone",
              lambda: node.ask(API + "shop/configmaps/right")[0] == 404, 10)


def force_push(node, case, found):
    """Each move of the branch that is no step forward is in the audit, with both ids."""
    bare = node.world.directory / "git" / f"{case.name}.git"
    old = node.revision_of(bare, "refs/heads/main")
    one, first = found.first, node.revision_of(bare, "refs/test/step1")
    began = node.audit_end()[0]
    for commit in (one, first, node.revision_of(bare, "refs/test/step2")):
        harness.run("git", "-C", bare, "update-ref", "refs/heads/main", commit)
        node.look()
        until(found, f"the branch at {commit[:8]}",
              lambda c=commit: node.unit()["revision"].endswith(c), 10)
        there = node.ask(API + "shop/configmaps/c1")[0] == 200
        if there != (commit == one):
            found.differ(f"ConfigMap c1 is {'there' if there else 'away'} at {commit[:8]}")
    said = [row[2] for row in node.audit(began) if "istoryRewritten" in row[2]]
    for before, after in ((one, first), (first, node.revision_of(bare, "refs/test/step2"))):
        if not any(before in text and after in text for text in said):
            found.differ(f"no audit row HistoryRewritten from {before[:8]} to {after[:8]}")
    harness.run("git", "-C", bare, "update-ref", "refs/heads/main", old)


def repaired(node, case, found):
    """Once the server's object is whole again, the next look succeeds without help."""
    bare = node.world.directory / "git" / f"{case.name}.git"
    tree = harness.run("git", "-C", bare, "ls-tree", found.commit, "z.yaml").stdout.split()
    path = bare / "objects" / tree[2][:2] / tree[2][2:]
    path.unlink()
    harness.run("git", "-C", bare, "hash-object", "-w", "--stdin", input="#" * 3000)
    node.look()
    until(found, "the repaired commit", lambda: node.unit()["revision"].endswith(found.commit), 20)


def first_push(node, case, found):
    """The first push to an empty repository is picked up by itself."""
    bare = node.world.directory / "git" / f"{case.name}.git"
    harness.run("git", "-C", bare, "fetch", "-q", node.origin, "main:refs/heads/main")
    until(found, "the first push", lambda: node.source().get("ready"), 20)


def temporary_packs(node, case, found):
    left = [str(path) for path in (node.daemon.state_dir / "mirrors").rglob("*")
            if "tmp" in path.name]
    if left:
        found.differ(f"temporary files: {left}")


def retry_after(node, case, found):
    """The next look of its own comes after the thirty seconds that the server asked for."""
    output = node.world.directory / "badserver.log"
    asked = output.read_bytes().count(b"GET ")
    time.sleep(3)
    if output.read_bytes().count(b"GET ") > asked:
        found.differ("it asked again within 3 s of Retry-After: 30")


def secret_canary(node, case, found):
    """The containers see both values; no other shape of the Secret shows one."""
    pods = until(found, "two pods", lambda: (
        lambda got: got if len(got) == 2 else None)(node.pods("shop", "uses")), 30)
    if not pods:
        return
    name = next(row["metadata"]["name"] for row in node.json(API + "shop/pods")["items"]
                if row["metadata"]["uid"] in pods)
    seen = node.daemon.ctl("exec", "-n", "shop", name, "--", "env").stdout
    for word in ("T=CANARY-stringdata-7c31", "other=CANARY-data-7c32"):
        if word not in seen:
            found.differ(f"the container does not see {word}")
    kubectl = node.daemon.kubectl
    for shape in ("json", "yaml", "wide", "jsonpath={.data}"):
        found.answers += kubectl("get", "secret", "canary", "-n", "shop", "-o", shape).stdout
        found.answers += kubectl("get", "secrets", "-A", "-o", shape).stdout
    found.answers += kubectl("describe", "secret", "canary", "-n", "shop").stdout
    overlay = node.world.directory / "made" / "canary"
    harness.shutil.copytree(case.folder / "repo", overlay)
    (overlay / "sec.yaml").write_text((overlay / "sec.yaml").read_text().replace(
        "CANARY-stringdata-7c31", "CANARY-stringdata-7c31-changed"))
    found.commit = node.commit_on_baseline(overlay)
    harness.shutil.rmtree(overlay)
    node.move(found.commit)
    until(found, "the second commit",
          lambda: node.unit()["revision"].endswith(found.commit), 10)
    found.answers += node.daemon.ctl("history", "secret/shop/canary").stdout


def forged(node, case, found):
    """One record of the log for each event: every line starts with a time."""
    for line in node.daemon.output.read_text(errors="replace").splitlines():
        if not re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info|debug)", line):
            found.differ(f"a line of the log that is no record: {line[:160]!r}")


def termination_message(node, case, found):
    """From the container's own file, at most 4 KiB."""
    ended = until(found, "both pods ended", lambda: all(
        "terminated" in state(pod(node, name)) for name in ("tmsg", "tmsg2")), 30)
    if not ended:
        return
    message = state(pod(node, "tmsg2"))["terminated"].get("message", "")
    if not 0 < len(message) <= 4096 or set(message) != {"x"}:
        found.differ(f"the message of tmsg2 has {len(message)} bytes")
    if state(pod(node, "tmsg"))["terminated"].get("message", ""):
        found.differ("tmsg has a message: "
                     + state(pod(node, "tmsg"))["terminated"]["message"][:200])


def running(node, found, name):
    return until(found, f"pod {name} running",
                 lambda: (lambda row: row if "running" in state(row) else None)(pod(node, name)), 30)


def fork_bomb(node, case, found):
    """The limit holds, the machine has room, and the good pods answer meanwhile."""
    until(found, "the bomb going off", lambda: state(pod(node, "forkbomb")).keys()
          & {"running", "terminated"} or "restartCount" in str(pod(node, "forkbomb")), 30)
    answer_while_watched(node, found, 3)
    free = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text()) - sum(
        1 for path in os.listdir("/proc") if path.isdigit())
    if free < 1000:
        found.differ(f"{free} process numbers are free")


def answer_while_watched(node, found, seconds):
    """Asks a good pod again and again; every request is answered."""
    address = next(row["status"]["podIP"] for row in node.json(
        API + "shop/pods?labelSelector=app%3Dweb")["items"])
    end, asked = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            link = harness_link(address)
            link.request("GET", "/")
            if link.getresponse().status != 200:
                raise OSError("status")
            link.close()
            asked += 1
        except OSError as error:
            found.differ(f"request {asked} to a good pod: {error}")
            return


def harness_link(address):
    import http.client
    return http.client.HTTPConnection(address, 8080, timeout=10)


def log_flood(node, case, found):
    """Each container's logs stay within their size; the end of them is read at once."""
    for name in ("flood", "longline"):
        running(node, found, name)
    until(found, "a log past its first file", lambda: log_bytes(node, "flood") > 30 << 20, 40)
    for name in ("flood", "longline"):
        if log_bytes(node, name) > LOG_BYTES:
            found.differ(f"the logs of {name} have {log_bytes(node, name)} bytes")
        status, text = node.ask(f"{API}shop/pods/{name}/log?tailLines=1")
        if status != 200 or not text:
            found.differ(f"the log of {name}: {status} {text[:80]!r}")


def log_bytes(node, name):
    total = 0
    for path in (node.daemon.log_dir / "pods").glob(f"shop_{name}_*/**/*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def hostile_probes(node, case, found):
    """Each probe ends with everything it started; output that is kept is small."""
    listed = until(found, "two pods that run", lambda: (lambda items: items if len(items) == 2 and all(
        "running" in state(row) for row in items) else None)(node.json(
            API + "shop/pods?labelSelector=app%3Dprobe")["items"]), 40)
    if not listed:
        return
    def told():
        return [row for row in node.json(API + "shop/events")["items"]
                if row["involvedObject"]["name"].startswith("probe-") and
                row["reason"] == "Unhealthy"]
    until(found, "five failed probes", lambda: sum(row["count"] for row in told()) >= 5, 60)
    for row in told():
        if len(row["message"]) > 11 << 10:
            found.differ(f"an event of {len(row['message'])} bytes")
    for row in listed:
        count = processes_of(node, row["metadata"]["uid"])
        if count > 12:
            found.differ(f"{count} processes in a pod that is probed")


def crash_loop(node, case, found):
    """Restarts back off, events are counted and not repeated, other commits go on."""
    def crashed():
        items = node.json(API + "shop/pods?labelSelector=app%3Dcrash")["items"]
        return len(items) == 200 and sum(
            1 for row in items if state(row).get("waiting", {}).get("reason") == "CrashLoopBackOff"
            ) == 200
    until(found, "200 pods that back off", crashed, 120)
    node.push_steady()
    until(found, "another commit", node.steady_on_schedule, 10)
    events = [row for row in node.json(API + "shop/events")["items"]
              if row["involvedObject"]["name"].startswith("crash-") and row["reason"] == "BackOff"]
    if len(events) > 200:
        found.differ(f"{len(events)} events of back-off for 200 pods")


def stubborn(node, case, found):
    running(node, found, "stubborn")


def escaped_inside(path):
    """The file that an entry names is in the image's root, never on the node."""
    def check(node, case, found):
        if os.path.lexists(path):
            found.differ(f"{path} is on the node")
    return check


def stays_stopped(node, case, found):
    """Not one pod of what was refused is made."""
    made = [row["metadata"]["name"] for row in node.json(API + "shop/pods")["items"]
            if not row["metadata"]["name"].startswith("web-")]
    if made:
        found.differ(f"pods were made of a refused commit: {made}")


def held(node, case, found):
    """The source says how many objects would go and how to let them."""
    for word in ("moorctl confirm", "2"):
        if word not in found.words:
            found.differ(f"{word!r} is not in {found.words!r}")


def moved(node, case, found):
    """Moving objects between files changes none of them."""
    row = node.json("/apis/apps/v1/namespaces/seq/deployments/stay")["metadata"]
    if row["generation"] != 1:
        found.differ(f"the Deployment has generation {row['generation']}")
    told = [row["message"] for row in node.json(API + "fleet/events")["items"]
            if row["involvedObject"]["name"] == "case" and "Applied" in row["message"]]
    if not any("0 created, 0 updated, 0 deleted" in text for text in told):
        found.differ(f"the second commit was not empty: {told}")


CHECKS = {
    "g-attributes": [config_map("attrs", {"id": "$Id$", "two": "line1\nline2\n"})],
    "g-branch-names": [branch_names],
    "g-corrupt-object": [repaired],
    "g-dotgit-spellings": [names(".GIT", ".Git ", "git~1", "\\u")],
    "g-empty-repository": [first_push],
    "g-force-push-back": [force_push],
    "g-hostile-file-names": [places(5, key=("file",))],
    "g-server-503": [retry_after],
    "g-server-cut-pack": [temporary_packs],
    "g-submodule-commands": [submodules],
    "g-symlink-inside": [config_map("linked")],
    "g-symlink-outside": [names("s1.yaml", "s2.yaml", "s3.yaml")],
    "i-hostile-config": [names("User", "WorkingDir", "Env", "StopSignal")],
    "i-layer-absolute": [escaped_inside("/etc/escape-i02")],
    "i-references": [places(13)],
    "l-log-forging": [config_map("forge"), forged],
    "l-secret-canary": [secret_canary],
    "m-empty-commit": [held],
    "m-invalid-names": [places(9)],
    "m-million-replicas": [stays_stopped],
    "m-misspelt-field": [places(2, "UnknownField")],
    "m-moved-files": [moved],
    "m-selector-conflicts": [places(2), names("Deployment/shop/one")],
    "m-server-fields": [server_fields],
    "n-external-ips": [places(5)],
    "r-crash-loop": [crash_loop],
    "r-fork-bomb": [fork_bomb],
    "r-hostile-probes": [hostile_probes],
    "r-log-flood": [log_flood],
    "r-stubborn-process": [stubborn],
    "s-capabilities": [places(7)],
    "s-hostpath": [places(8)],
    "s-mount-paths": [places(9)],
    "s-privileged-everywhere": [places(3, "Forbidden"), stays_stopped],
    "s-restricted-root": [places(3, "Forbidden")],
    "s-seccomp-apparmor": [places(4)],
    "s-subpath": [places(5)],  # the sixth is known only when its variable is expanded
    "s-templates-everywhere": [places(6, "Forbidden")],
    "s-termination-message": [termination_message],
    "y-bom-start": [config_map("bom", {"a": "1"})],
    "y-duplicate-key-privileged": [stays_stopped],
    "y-empty-documents": [config_map("afterempty")],
    "y-json-rules": [places(2, key=("file",))],
    "y-merge-keys": [config_map("merge2", annotations={"team": "blue", "note": "1"})],
    "y-nul-bytes": [places(2, key=("file",))],
    "y-number-extremes": [places(6)],
    "y-old-booleans": [places(2, "WrongType")],  # 22:22 is a string to YAML 1.2
}
