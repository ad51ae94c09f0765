#!/usr/bin/env python3
"""Feeds bad input to a real daemon and holds what comes of it against what must.

    tests/e2e/badinput.py DIRECTORY [--only WORD...] [--channel NAME...]
                           [--transport local|git] [--bin DIRECTORY] [--jobs N]

DIRECTORY holds a folder for each case with expect.json (verdict, reason, place, budgets) and what is
fed: files to commit, a script that builds a repository or an image, a conversation over HTTP.
Prints a line for each case and at last "badinput: passed N, failed N, waiting N". Exits 0 if every
case holds but those of badinput_waiting.txt, each of which names the feature it waits for. With --jobs
the cases are shared out to so many drivers, each with daemons of its own.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
# Raw in a record these change what a terminal shows, or look like a record of their own.
RAW = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
RESIDUE_SECONDS = 60
CLOSING = []  # what went wrong when nodes were taken down


class Case:
    """One folder of bad input and what is expected of it."""

    def __init__(self, folder):
        self.folder = folder
        self.name = folder.name
        self.expect = json.loads((folder / "expect.json").read_text())
        self.channel = self.expect["channel"]
        self.verdict = self.expect["verdict"]
        self.reason = self.expect.get("error", {}).get("reason")
        self.budget_seconds = self.expect["budget"]["seconds"]
        self.budget_bytes = self.expect["budget"]["rss_growth_mib"] << 20
        self.keeps = self.expect["keeps"]


def group_of(case):
    """Cases of one group share a daemon."""
    if case.channel == "source":
        return "strict"
    if case.expect.get("policy") == "restricted":
        return "restricted"
    return "plain"


def read_waiting(path):
    rows = [line.split(None, 1) for line in path.read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    return {name: feature.strip() for name, feature in rows}


def keeps(node, case, found, before):
    """Whether everything that must stay as it was has stayed."""
    if node.daemon.process.poll() is not None or before["pid"] != node.daemon.process.pid:
        found.differ("the daemon has ended: " + node.daemon.tail(3))
        return
    if "baseline-running" in case.keeps and node.pods() != before["pods"]:
        found.differ(f"the good pods were {before['pods']} and are {node.pods()}")
    rows = node.audit(before["audit"][0])
    broken = nodes.chain_breaks(before["audit"], rows)
    if broken:
        found.differ(broken)
    if "audit-complete" in case.keeps:
        found.problems += audit_problems(case, found, rows)
    if "other-sources-on-schedule" in case.keeps:
        try:
            nodes.eventually("the other source on schedule", node.steady_on_schedule, 4)
        except nodes.harness.Failed as error:
            found.differ(str(error))
    if "other-clients-served" in case.keeps and node.ask("/api/v1/namespaces")[0] != 200:
        found.differ("another client was not served")


def audit_problems(case, found, rows):
    """One record of the attempt: not none, and not one for each look at the same thing."""
    if case.channel in ("manifest", "git", "sequence") and case.verdict == "reject-commit":
        said = [row for row in rows if found.commit in row[2] and '"why":"' in row[2] and
                ("refused" in row[2] or "held" in row[2] or "fetch" in row[2])]
        units = [row for row in said if "Kustomization/" in row[2]]
        if not said or len(units) > 1:
            yield f"{len(units)} audit records of the refusal of {found.commit[:8]}"
    elif not rows:
        yield "no audit record of the attempt"


def words_said(node, found, before):
    """Everything the daemon has said anywhere since the case began."""
    parts = [found.words, found.answers, node.log_since(before["log"]).decode(errors="replace")]
    parts += [row[2] for row in node.audit(before["audit"][0])]
    parts += node.lists()
    parts += [node.ask("/status")[1]]
    return "\n".join(parts)


def look_around(node, case, found, before):
    """Budgets, forbidden words, files that must not be, and what must be kept."""
    growth, name = node.memory.growth()
    if found.seconds is not None and found.seconds > case.budget_seconds:
        found.differ(f"took {found.seconds:.1f} s of {case.budget_seconds} s")
    if growth > case.budget_bytes:
        found.differ(f"{name} grew by {growth >> 20} MiB of {case.budget_bytes >> 20} MiB")
    forbidden = case.expect.get("error", {}).get("must_not_contain", [])
    if forbidden:
        said = words_said(node, found, before)
        for word in forbidden:
            if word in said:
                at = said.index(word)
                found.differ(f"the words {word!r} were said: {said[max(0, at - 80):at + 40]!r}")
    raw = RAW.search(node.log_since(before["log"]))
    if raw:
        found.differ(f"the log has a raw {raw.group()!r}")
    if node.canaries():
        found.differ(f"it made {node.canaries()}")
    keeps(node, case, found, before)


def quiet_snapshot(node):
    """What there is while the daemon has no tool at work, which would be missing afterwards."""
    end = time.monotonic() + RESIDUE_SECONDS
    while True:
        now = node.snapshot()
        if "process nft" not in now or time.monotonic() > end:
            return now
        time.sleep(0.1)


def residue(node, found, before):
    """Takes the input away; what of it is left after a minute."""
    for step in reversed(found.undo):
        try:
            step()
        except Exception as error:  # the next steps must still be tried
            found.differ(f"taking it away: {str(error)[:300]}")
    end = time.monotonic() + RESIDUE_SECONDS
    while True:
        now = node.snapshot()
        if now == before["snapshot"]:
            return
        if time.monotonic() > end:
            changed = [f"{key} {before['snapshot'].get(key, 0)}→{now.get(key, 0)}"
                       for key in sorted(set(now) | set(before["snapshot"]))
                       if now.get(key) != before["snapshot"].get(key)]
            found.differ(f"left behind: {', '.join(changed)[:800]}")
            return
        time.sleep(0.1)


def run_case(node, case):
    """Feeds one case and takes it away again; what came of it."""
    found = channels.Found(case)
    before = {"pid": node.daemon.process.pid, "pods": node.pods(), "audit": node.audit_end(),
              "log": node.log_size(), "snapshot": quiet_snapshot(node)}
    node.memory.reset()
    try:
        node.push_steady()
        channels.CHANNELS[case.channel](node, case, found)
        for check in more.CHECKS.get(case.name, []):
            check(node, case, found)
        look_around(node, case, found, before)
    except Exception as error:
        found.differ(f"{type(error).__name__}: {str(error)[:500]}")
        if os.environ.get("MOORED_TRACE"):
            traceback.print_exc()
    residue(node, found, before)
    return found


def healthy(node):
    """Whether the next case may use this node."""
    def well():
        return node.settled() and len(node.pods()) == 2
    try:  # a source that was declared anew is looked at once more
        return node.daemon.process.poll() is None and nodes.eventually("the good state", well, 30)
    except Exception:
        return False


class Report:
    """Prints a line for each case and counts."""

    def __init__(self, waiting):
        self.waiting = waiting
        self.passed, self.failed, self.waits, self.passing = 0, 0, 0, []

    def line(self, word, case, text):
        line = (f"{word:<8} {case.name:<29} {case.expect['id']:<5} {case.channel:<9} "
                f"{case.verdict:<14} {text}")
        print(line.encode(errors="backslashreplace").decode(), flush=True)

    def take(self, case, found):
        seconds = f"{found.seconds:.2f} s" if found.seconds is not None else "-"
        text = "; ".join(found.problems)
        if not found.problems and case.name in self.waiting:
            self.passing.append(case.name)
            self.line("PASSES", case, f"though it waits for {self.waiting[case.name]}: strike it")
        elif not found.problems:
            self.passed += 1
            self.line("ok", case, seconds)
        elif case.name in self.waiting:
            self.waits += 1
            self.line("waits", case, f"for {self.waiting[case.name]}")
        else:
            self.failed += 1
            self.line("FAILED", case, text)

    def waits_for_channel(self, case):
        if case.name in self.waiting:
            self.waits += 1
            self.line("waits", case, f"for {self.waiting[case.name]}")
        else:
            self.failed += 1
            self.line("FAILED", case, f"there is no channel {case.channel}")


def make_node(arguments, group):
    node = nodes.Node(arguments.directory, local=group != "strict",
                      policy="restricted" if group == "restricted" else "baseline",
                      transport=arguments.transport)
    if node.left_out:
        print(f"the good state is without {', '.join(node.left_out)}, which discovery does not "
              "list", flush=True)
    return node


# The order within a group: scripts of the channel git take longest, and run meanwhile.
ORDER = ("http", "manifest", "sequence", "image", "registry", "gitserver", "git", "source")


def run_group(arguments, group, cases, report):
    """Runs cases on one node, and on a fresh one after a case that has spoilt it."""
    cases.sort(key=lambda case: ORDER.index(case.channel))
    while cases:
        node = make_node(arguments, group)
        try:
            for case in cases:
                case.folder = node.fixtures / case.name
            node.prebuild(cases)
            while cases:
                case = cases.pop(0)
                found = run_case(node, case)
                well = healthy(node)
                if not well:
                    found.differ("the good state did not come back")
                report.take(case, found)
                if not well:
                    break
        finally:
            close(node)


def close(node):
    """Takes the node down; what cannot be taken down is a failure of its own."""
    try:
        node.close()
    except nodes.harness.Failed as error:
        print(f"FAILED   taking the node down: {error}", flush=True)
        CLOSING.append(str(error))


def share_out(jobs):
    """Runs this program once for each share of the cases, and adds up what the shares count."""
    totals, told, lock = [0, 0, 0], [], threading.Lock()
    shares = [subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--jobs", "1", "--share",
                                f"{number}/{jobs}"], stdout=subprocess.PIPE, text=True)
              for number in range(jobs)]

    def read(share):
        for line in share.stdout:
            sums = re.match(r"badinput: passed (\d+), failed (\d+), waiting (\d+)", line)
            with lock:
                if sums:
                    totals[:] = [a + int(b) for a, b in zip(totals, sums.groups())]
                    told.append(share)
                else:
                    print(line, end="", flush=True)
    threads = [threading.Thread(target=read, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    try:
        codes = [share.wait() for share in shares]
    finally:
        for share in shares:
            share.terminate()  # those that have ended are not asked
    for thread in threads:
        thread.join()
    totals[1] += jobs - len(told)  # a driver that broke off has failed as a whole
    print("badinput: passed {}, failed {}, waiting {}".format(*totals))
    sys.exit(1 if any(codes) or len(told) < jobs else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--bin", help="directory of the programs")
    parser.add_argument("--only", nargs="*", help="cases whose name holds one of these")
    parser.add_argument("--channel", nargs="*", help="only these channels")
    parser.add_argument("--transport", choices=("local", "git"), default="local",
                        help="how repositories of the channel git are read")
    parser.add_argument("--waiting", type=pathlib.Path, default=HERE / "badinput_waiting.txt")
    parser.add_argument("--jobs", type=int, default=1, help="drivers side by side")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.jobs > 1:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
        share_out(arguments.jobs)
    if arguments.bin:
        os.environ["MOORED_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    load_parts()
    nodes.harness.end_on_signal()
    report = Report(read_waiting(arguments.waiting))
    cases = [Case(path.parent) for path in sorted(arguments.directory.glob("*/expect.json"))]
    known = {case.name for case in cases}
    cases = [case for case in cases
             if (not arguments.only or any(word in case.name for word in arguments.only))
             and (not arguments.channel or case.channel in arguments.channel)]
    if arguments.share:
        number, of = map(int, arguments.share.split("/"))
        cases = cases[number::of]
    groups = {}
    for case in cases:
        if case.channel not in channels.CHANNELS:
            report.waits_for_channel(case)
        else:
            groups.setdefault(group_of(case), []).append(case)
    for group, rows in sorted(groups.items()):
        run_group(arguments, group, rows, report)
    for name in sorted(set(report.waiting) - known):
        print(f"note     {name} is on the waiting list and not in {arguments.directory}")
    failed = report.failed + len(CLOSING)
    print(f"badinput: passed {report.passed + len(report.passing)}, failed {failed}, "
          f"waiting {report.waits}")
    sys.exit(1 if failed or not cases else 0)


def load_parts():
    """The other modules, once it is known where the programs are."""
    global channels, more, nodes
    sys.path.insert(0, str(HERE))
    import badinput_channels as channels
    import badinput_more as more
    import badinput_node as nodes


if __name__ == "__main__":
    main()
