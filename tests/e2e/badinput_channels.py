"""How each channel of bad input is fed to a node, and how its verdict is read.

A channel is a function (node, case, found) -> None that feeds the case and notes in `found` what
differs from what is expected. It notes the time of the verdict with found.decided(), and leaves with
found.undo what takes the input away again.
"""
import contextlib
import json
import re
import shutil
import time

import harness

# place, field, text and reason of one line of a refusal
LINE = re.compile(r"^(?:(?P<file>[^:\n]+?)(?::(?P<line>\d+))?(?::(?P<column>\d+))?: )?"
                  r"(?:(?P<field>[A-Za-z$][^\s:]*?(?:\[[^\]]*\][^\s:]*?)*): )?(?P<text>.*?)"
                  r"(?: \[(?P<reason>[A-Za-z0-9]+)\])?$")
GIT_PORT_HTTP = 9480
PODS = "/api/v1/namespaces/shop/pods"
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: bad, namespace: shop}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: "{image}"}}]
"""


class Found:
    """What came of one case: the verdict's words, its time, and what differs."""

    def __init__(self, case):
        self.case = case
        self.problems = []
        self.words = ""       # what the daemon said in its verdict
        self.answers = ""     # everything else that came back to a client
        self.commit = ""      # the revision in question
        self.first = ""       # the one before it, in a repository of the case's own
        self.began = time.monotonic()
        self.seconds = None
        self.undo = []        # called last to first

    def differ(self, text):
        self.problems.append(text)

    def decided(self):
        if self.seconds is None:
            self.seconds = time.monotonic() - self.began

    def wait(self, what, check, extra=3.0):
        """Waits for a verdict as long as the budget lets it, and a little more to see it late."""
        end = self.began + self.case.budget_seconds + extra
        while True:
            got = check()
            if got:
                self.decided()
                return got
            if time.monotonic() > end:
                self.differ(f"no {what} within {end - self.began:.0f} s")
                return None
            time.sleep(0.03)


def rows_of(message):
    """The lines of a refusal as dictionaries with file, line, column, field, text, reason."""
    return [match.groupdict() for match in map(LINE.match, message.splitlines()) if match]


def one_token_apart(case, place, column):
    """Whether a column is the expected one, but for one token that stands between them."""
    line = ""
    for folder in ("repo", "2", "1"):
        with contextlib.suppress(OSError, IndexError):
            text = (case.folder / folder / place["file"]).read_text(errors="replace")
            line = text.splitlines()[place["line"] - 1]
    first, last = sorted((column, place["column"]))
    return len(re.findall(r"[^\s\[\]{},]+", line[first - 1:last - 1])) <= 1


def same_place(case, row, wanted):
    if wanted.get("reason") and row["reason"] != wanted["reason"]:
        return False
    if wanted.get("file") and row["file"] != wanted["file"]:
        return False
    if wanted.get("line") and row["line"] != str(wanted["line"]):
        return False
    if wanted.get("field") and row["field"] != wanted["field"]:
        return False
    if wanted.get("column"):
        return row["column"] and one_token_apart(case, wanted, int(row["column"]))
    return True


def judge_error(found, reason, message):
    """Compares a refusal with the reason, the place and the words that are expected."""
    wanted = found.case.expect.get("error", {})
    found.words = f"{reason}: {message}"
    rows = rows_of(message)
    if len(rows) == 1 and rows[0]["reason"] is None:
        # A source says Flux's reason, with the finer word before the sentence.
        finer = re.match(r"([A-Z][A-Za-z]+): ", message)
        rows[0]["reason"] = finer.group(1) if finer else reason
    if not any(same_place(found.case, row, wanted) for row in rows):
        place = {key: wanted[key] for key in ("reason", "file", "line", "column", "field")
                 if key in wanted}
        if place:
            found.differ(f"wanted {place}, got {found.words[:600]!r}")
    for word in wanted.get("must_contain", []):
        if word not in found.words:
            found.differ(f"the words {word!r} are not in {found.words[:600]!r}")


def judge_unit(node, found, name=None, good=None):
    """Waits for what the source says of a revision, and compares it with the verdict."""
    verdict = found.case.verdict
    good = good or node.good

    def seen():
        unit, source = node.unit(name), node.source(name)
        if source and not source.get("ready") and source.get("reason") not in (None, "", "Progressing"):
            return "source", source
        if verdict != "source-error" and unit.get("attempted", "").endswith(found.commit):
            if unit["revision"].endswith(found.commit):
                return "applied", unit
            return "refused", unit
        return None
    got = found.wait("verdict", seen)
    if got is None:
        return
    kind, row = got
    wanted = {"reject-commit": ("refused", "source"), "source-error": ("source",),
              "accept": ("applied",), "accept-warn": ("applied",), "contain": ("applied",)}
    if kind not in wanted[verdict]:
        found.differ(f"{kind}: {row.get('reason')}: {row.get('message', '')[:600]}")
        return
    if kind == "applied":
        found.words = row.get("message", "")
        return
    judge_error(found, row["reason"], row["message"])
    unit = node.unit(name)
    if unit and not unit["revision"].endswith(good):
        found.differ(f"the last good revision is gone: {unit['revision']}")


# --- channels


def back_to_good(node):
    """The good state again, as the source's next revision."""
    node.move(node.good)
    harness.eventually("the good state", node.settled, 60)


def manifest(node, case, found):
    files = case.folder / "repo"
    if (case.folder / "make.sh").exists():
        files = node.builder.output(case)
    found.commit = node.commit_on_baseline(files)
    found.undo.append(lambda: back_to_good(node))
    found.began = time.monotonic()
    node.move(found.commit)
    judge_unit(node, found)


def git(node, case, found):
    """The baseline's source reads the case's repository, whose branch then moves to the bad one."""
    bare = node.builder.output(case)

    def restore():
        node.declare("baseline", node.url(node.origin))
        harness.eventually("the good state", node.settled, 60)
    found.undo.append(restore)
    found.commit = node.revision_of(bare, "refs/test/bad")
    ref = case.expect.get("ref", "refs/heads/main")
    path = "./" + case.expect.get("source_path", "")
    plain = found.commit and ref == "refs/heads/main" and path == "./"
    good = found.first = node.revision_of(bare, "refs/heads/main") or node.good
    if plain:
        node.declare("baseline", node.url(bare))
        harness.eventually("the case's first state", lambda: node.source()["url"] == node.url(
            bare) and node.source()["ready"] and node.unit()["revision"].endswith(good))
    elif found.commit:
        harness.run("git", "-C", bare, "update-ref", "refs/heads/main", found.commit)
    found.began = time.monotonic()
    if plain:
        harness.run("git", "-C", bare, "update-ref", "refs/heads/main", found.commit)
        node.look()
    else:
        node.declare("baseline", node.url(bare), ref=ref, path=path)
    judge_unit(node, found, good=good if plain else None)


def bad_server(node, found, mode, *arguments):
    """Starts a misbehaving server; its output, for what was asked of it."""
    output = node.world.directory / "badserver.log"
    with open(output, "wb") as log:
        server = harness.subprocess.Popen(
            ["python3", str(node.fixtures / "_lib/badserver.py"), mode, str(GIT_PORT_HTTP),
             *map(str, arguments)], stdout=log, stderr=log, start_new_session=True)

    def stop():
        server.kill()
        server.wait(10)
    found.undo.append(stop)
    harness.eventually("the server", lambda: b"ready" in output.read_bytes(), 20)
    return output


def gitserver(node, case, found):
    output = bad_server(node, found, case.expect["server_mode"])
    found.undo.append(lambda: node.withdraw("case"))
    found.began = time.monotonic()
    node.declare("case", f"http://127.0.0.1:{GIT_PORT_HTTP}/x.git", unit=False)
    judge_unit(node, found, "fleet/case")
    if not re.search(rb"(?m)^GET ", output.read_bytes()):
        found.differ("the server was never asked")


def source(node, case, found):
    """Each definition on its own: refused when it is loaded, without a connection."""
    wanted = case.expect["error"]["reason"]
    found.undo.append(lambda: node.withdraw("case"))
    slowest = 0.0
    for entry in json.loads((case.folder / "sources.json").read_text()):
        began = time.monotonic()
        row = node.declare("case", entry["url"], unit=False)
        if row["revision"].endswith(node.revision_of(node.control.bare, "main")):
            with contextlib.suppress(harness.Failed):  # then the source itself must say so
                row = harness.eventually("its word", lambda: (lambda got: got if got.get(
                    "reason") not in (None, "Progressing") else None)(
                        node.source("fleet/case")), 30)
        slowest = max(slowest, time.monotonic() - began)
        reason, message = row.get("reason", ""), row.get("message", "")
        found.words += f"{reason}: {message}\n"
        if wanted not in reason + message:
            found.differ(f"{entry['url']!r} is not refused with {wanted}: "
                         f"{reason}: {message[:200]}")
    found.seconds = slowest


def sequence(node, case, found):
    repository = harness.Repository(node.world, "case-" + case.name)
    steps = sorted(path for path in case.folder.iterdir() if path.name.isdigit())

    def put(step):
        for path in repository.tree.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(step, repository.tree, dirs_exist_ok=True)
        return repository.push(f"Step {step.name}")

    def remove():
        node.withdraw("case")
        harness.eventually("the case gone", lambda: not node.unit("fleet/case"), 60)
        shutil.rmtree(repository.bare)
        shutil.rmtree(repository.tree)
    found.undo.append(remove)
    commit = put(steps[0])
    node.declare("case", str(repository.bare))
    for step in steps[1:]:
        node.look("case")
        harness.eventually(f"step before {step.name}", lambda c=commit: (
            lambda row: row.get("ready") and row["revision"].endswith(c))(
                node.unit("fleet/case")), 60)
        good, before = commit, node.pods("seq", case.expect.get("app", app_of(case)))
        commit = found.commit = put(step)
        found.began = time.monotonic()
        node.look("case")
        judge_unit(node, found, "fleet/case", good)
        if node.pods("seq", app_of(case)) != before:
            found.differ("the pods of the step before are not the same")


def app_of(case):
    """The application's label in the first step of a sequence."""
    text = "".join(path.read_text() for path in sorted((case.folder / "1").glob("*.yaml")))
    match = re.search(r"app: (\S+)", text)
    return match.group(1) if match else "none"


def image_layout(node, case):
    """The layout of a case as a directory, built when the case has a script for it."""
    if not (case.folder / "make.sh").exists():
        return case.folder / "layout"
    return node.builder.output(case)


def image(node, case, found):
    """Imported as an archive of an operator would be, then run by a pod where it may be."""
    layout = image_layout(node, case)
    name = "registry.test/bad:1"
    found.began = time.monotonic()
    result = node.daemon.ctl("image", "import", name, layout, check=False,
                             timeout=case.budget_seconds + 60)
    found.words = result.stdout + result.stderr
    if result.returncode == 0:
        found.undo.append(lambda: node.daemon.ctl("image", "rm", name))
    if case.verdict == "image-error":
        found.decided()
        if result.returncode == 0:
            found.differ("the image was taken")
        elif case.reason and case.reason not in found.words:
            found.differ(f"wanted {case.reason}, got {found.words.strip()[-500:]!r}")
        return
    if result.returncode != 0:
        if case.verdict == "accept":
            found.differ(f"the image was refused: {found.words.strip()[-500:]}")
        found.decided()
        return
    run_image(node, found, name)


def run_image(node, found, name):
    """A pod of an image, until it runs, has ended, or says why it does not start."""
    overlay = node.world.directory / "made" / "pod" / "repo"
    overlay.mkdir(parents=True, exist_ok=True)
    (overlay / "bad-pod.yaml").write_text(POD.format(image=name))
    found.commit = node.commit_on_baseline(overlay)
    found.undo.append(lambda: (back_to_good(node), harness.eventually(
        "the pod gone", lambda: node.ask(PODS + "/bad")[0] == 404, 60)))
    node.move(found.commit)

    def seen():
        status, text = node.ask(PODS + "/bad")
        if status != 200:
            return None
        pod = json.loads(text)["status"]
        states = [row.get("state", {}) for row in pod.get("containerStatuses", [])]
        reasons = [state["waiting"] for state in states if state.get("waiting", {}).get(
            "reason") not in (None, "ContainerCreating", "PodInitializing")]
        return pod if reasons or pod["phase"] in ("Running", "Succeeded", "Failed") else None
    pod = found.wait("answer about the pod", seen)
    found.words += json.dumps(pod)


def registry(node, case, found):
    output = bad_server(node, found, case.expect["server_mode"])
    run_image(node, found, f"127.0.0.1:{GIT_PORT_HTTP}/x/bad:1")
    if "waiting" not in found.words:
        found.differ(f"the pod does not say that its image is refused: {found.words[:400]}")
    if not re.search(rb"(?m)^(GET|HEAD) ", output.read_bytes()):
        found.differ("the registry was never asked: " + found.words[:300])


def http(node, case, found):
    """Replays a conversation and holds every answer against what is allowed."""
    wanted = case.expect["http"]
    found.began = time.monotonic()
    said = harness.run("python3", node.fixtures / "_lib/play.py", case.folder, "127.0.0.1",
                       node.daemon.port, timeout=180, check=False)
    if said.returncode != 0:
        found.differ(f"the conversation broke off: {said.stderr[-400:]}")
        return
    answer = json.loads(said.stdout)
    found.answers = said.stdout
    rows = answer["connections"]
    # The player itself waits after each answer for more; only the daemon's share counts.
    found.seconds = sum(row["first_ms"] or row["closed_ms"] or 0 for row in rows) / 1000
    last = wanted.get("last_connection")
    for number, row in enumerate(rows, 1):
        rule = last if last and number == len(rows) else wanted
        for text in answer_problems(rule, row, number == 1):
            found.differ(f"connection {number}: {text}: {row['head'][:120]!r}")
    if "idle_closed_by_server" in wanted and (
            answer["idle_closed_by_server"] < wanted["idle_closed_by_server"]):
        found.differ(f"{answer['idle_closed_by_server']} of {answer['idle_opened']} idle "
                     "connections were closed")


def answer_problems(rule, row, first):
    """What one connection of a conversation did that it must not."""
    allowed = rule.get("status_any_of")
    codes = row["status"]
    if allowed and any(code not in allowed for code in codes):
        yield f"answered {codes}, allowed are {allowed}"
    if not codes and not row["closed"] and allowed:
        yield "no answer, and still open"
    if rule.get("connection_closed") and not row["closed"]:
        yield f"still open after {codes}"
    early = row["first_ms"] if row["first_ms"] is not None else row["closed_ms"]
    if "first_answer_within_ms" in rule and (early or 0) > rule["first_answer_within_ms"]:
        yield f"the first answer after {early} ms"
    if len(codes) > rule.get("answers_per_connection", len(codes)):
        yield f"{len(codes)} answers on one connection"
    if len(codes) < rule.get("answers_at_least_or_closed", 0) and not row["closed"]:
        yield f"{len(codes)} answers, and still open"
    within = rule.get("first_connection_closed_within_ms")
    if within and first and (row["closed_ms"] is None or row["closed_ms"] > within):
        yield f"closed after {row['closed_ms']} ms"
    if re.search(r"(?im)^access-control-", row["head"]):
        yield "a header for other origins"


CHANNELS = {"manifest": manifest, "git": git, "gitserver": gitserver, "source": source,
            "sequence": sequence, "image": image, "registry": registry, "http": http}
