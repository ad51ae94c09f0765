#!/usr/bin/env python3
"""Runs the end-to-end tests: each file cases_*.py holds unittest cases.

    tests/e2e/run.py [--bin DIRECTORY] [PATTERN...]

Prints a line for each test and at last "e2e: passed N, failed N, skipped N".
"""
import argparse
import os
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Report(unittest.TestResult):
    """One line a test as it ends, with the reason where there is one."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="directory of the programs")
    parser.add_argument("patterns", nargs="*", help="only tests whose name holds one of these")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["MOORED_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    sys.path.insert(0, str(HERE))
    loader = unittest.TestLoader()
    if arguments.patterns:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments.patterns]
    suite = loader.discover(str(HERE), pattern="cases_*.py")
    report = Report()
    suite.run(report)
    failed = len(report.failures) + len(report.errors)
    print(f"e2e: passed {getattr(report, 'passed', 0)}, failed {failed}, "
          f"skipped {len(report.skipped)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
