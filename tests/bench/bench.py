#!/usr/bin/env python3
"""Compares moored with its peers in one run and prints a table of ratios.

    bench.py BUILD [--check] [--quick] [--only WORD...] [--json FILE]

BUILD is a build directory with the programs in bin. --check exits 1 when a "must" is missed.
--quick repeats less and leaves the long rows out. WORD: sandbox start restart adoption memory
poll parse change resync. Started by run.sh, which installs and builds what is needed.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import traceback

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("build", type=pathlib.Path)
parser.add_argument("--check", action="store_true")
parser.add_argument("--quick", action="store_true")
parser.add_argument("--only", nargs="*", default=[])
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
programs = arguments.build.resolve() / "bin"
os.environ["MOORED_BIN"] = str(programs)
SOURCES = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCES.parent / "e2e"))

# What follows reads MOORED_BIN when it is imported.
import crun  # noqa: E402
import pods  # noqa: E402
import texts  # noqa: E402
from harness import run  # noqa: E402
from measure import HEAD  # noqa: E402
from node import Node  # noqa: E402
from places import Disk  # noqa: E402
from podman import Podman  # noqa: E402

few = 3 if arguments.quick else 10


def make_image(directory):
    """A root directory with busybox and a program that only waits, and its archive."""
    root = directory / "root"
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")
    for program in ("pause", "true"):
        place = root / "pause" if program == "pause" else root / "bin/true"
        run("gcc", "-O2", "-static", "-nostartfiles", "-o", place, SOURCES / f"{program}.c")
    archive = directory / "image.tar"
    run("python3", SOURCES.parent.parent / "examples/oci_image.py", "--output", archive, "--name",
        pods.IMAGE, "--layer", root, "--cmd", "/pause")
    return root, archive


def rows_of_pods(directory, archive):
    """Rows that need a daemon and podman at once, in the order in which they disturb least."""
    steps = [
        ("start", lambda n, p: sum((pods.starts(n, p, count, few if count < 50 else 3)
                                    for count in (1, 10, 50)), [])),
        ("restart", lambda n, p: pods.restarts(n, p, few)),
        ("adoption", lambda n, p: pods.adoption(n, few)),
        ("memory", lambda n, p: pods.supervision(n, p, 20 if arguments.quick else 120)),
        ("resync", lambda n, p: pods.resync(n, few)),
        ("change", lambda n, p: texts.change(n, directory, 2 if arguments.quick else 5)),
    ]
    steps = [(word, step) for word, step in steps if wanted(word)]
    if not steps:
        return
    (directory / "podman").mkdir()
    peer = Podman(directory / "podman", archive)
    try:
        node = Node(archive, pods.IMAGE)
        try:
            for word, step in steps:
                yield from attempt(word, lambda step=step: step(node, peer))
        finally:
            node.close()
    finally:
        peer.close()


def wanted(word):
    return not arguments.only or word in arguments.only


def attempt(word, measure):
    """The rows of one measurement; one that breaks is told and counts as missed."""
    try:
        yield from measure()
    except Exception:  # the other rows are still worth having
        traceback.print_exc()
        broken.append(word)


def all_rows(directory):
    root, archive = make_image(directory)
    if wanted("sandbox"):
        yield from attempt("sandbox", lambda: crun.sandboxes(
            directory, root, programs, 20 if arguments.quick else 100))
    if wanted("poll"):
        yield from attempt("poll", lambda: texts.polls(directory, programs, 5 * few))
    if wanted("parse"):
        yield from attempt("parse", lambda: texts.parsing(directory, programs, few // 2 + 1))
    yield from rows_of_pods(directory, archive)


broken = []


def main():
    disk = Disk()
    rows = []
    print(HEAD, flush=True)
    try:
        for row in all_rows(disk.path):
            print(row.text(), flush=True)
            rows.append(row)
    finally:
        disk.close()
    if arguments.json:
        arguments.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    missed = [row.what for row in rows if row.verdict == "MISSED"] + broken
    print(f"bench: {len(rows)} figures, missed: {', '.join(missed) if missed else 'none'}")
    sys.exit(1 if arguments.check and missed else 0)


main()
