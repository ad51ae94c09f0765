#!/usr/bin/env python3
"""Runs the end-to-end tests: each file cases_*.py holds unittest cases.

    tests/e2e/run.py [--bin DIRECTORY] [--jobs N] [PATTERN...]

Prints a line for each test and at last "e2e: passed N, failed N, skipped N".
"""
import argparse
import concurrent.futures
import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 600  # a test that hangs fails after this, and what it made is taken away


class Report(unittest.TestResult):
    """One line a test as it ends, with the reason where there is one."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        signal.alarm(PATIENCE_S)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def line(self, word, test, why=""):
        seconds = time.monotonic() - self.began
        print(f"{word:<7} {test.id()} ({seconds:.1f} s){': ' if why else ''}{why}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed = getattr(self, "passed", 0) + 1
        self.line("ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line("FAILED", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.began = getattr(self, "began", time.monotonic())
        self.line("FAILED", test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.line("FAILED", subtest, (self.failures or self.errors)[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skipped", test, reason)


def classes_in(suite):
    """The names module.Class of the tests in a suite, each once, in their order."""
    names = {}
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            names.update(dict.fromkeys(classes_in(part)))
        else:
            names[part.id().rsplit(".", 1)[0]] = None
    return list(names)


def run_class(name, arguments):
    """One class of tests in a process of its own; what it said and its three counts."""
    command = [sys.executable, __file__, "--only-class", name, *arguments.patterns]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    *lines, last = result.stdout.splitlines() or [""]
    counts = re.fullmatch(r"e2e: passed (\d+), failed (\d+), skipped (\d+)", last)
    if counts is None:
        return [*lines, last, f"FAILED  {name}: it gave no result"], (0, 1, 0)
    return lines, tuple(map(int, counts.groups()))


def run_side_by_side(names, arguments):
    """Most tests wait most of the time, and each has a world of its own: several at once."""
    totals = (0, 0, 0)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run_class, name, arguments) for name in names]
        for done in concurrent.futures.as_completed(runs):
            lines, counts = done.result()
            print("\n".join(lines), flush=True)
            totals = tuple(a + b for a, b in zip(totals, counts))
    return totals


def run_here(suite):
    report = Report()
    suite.run(report)
    return (getattr(report, "passed", 0), len(report.failures) + len(report.errors),
            len(report.skipped))


def give_up(_signal, _frame):
    raise TimeoutError(f"the test did not end within {PATIENCE_S} s")


def main():
    signal.signal(signal.SIGALRM, give_up)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="directory of the programs")
    parser.add_argument("--jobs", type=int, default=1, help="classes of tests that run at once")
    parser.add_argument("--only-class", help="the tests of one class, named module.Class")
    parser.add_argument("patterns", nargs="*", help="only tests whose name holds one of these")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["MOORED_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    sys.path.insert(0, str(HERE))
    loader = unittest.TestLoader()
    if arguments.patterns:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments.patterns]
    if arguments.only_class:
        module, name = arguments.only_class.rsplit(".", 1)
        suite = loader.loadTestsFromName(name, importlib.import_module(module))
    else:
        suite = loader.discover(str(HERE), pattern="cases_*.py")
    if arguments.jobs > 1 and not arguments.only_class:
        passed, failed, skipped = run_side_by_side(classes_in(suite), arguments)
    else:
        passed, failed, skipped = run_here(suite)
    print(f"e2e: passed {passed}, failed {failed}, skipped {skipped}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
