#!/usr/bin/env python3
"""Counts a ctest report: "passed failed skipped", then a line for each failed or skipped test.

    tests/report.py REPORT.xml LOG

Exits 1 when the report is missing or holds no test. The log tells why a test was skipped.
"""
import re
import sys
import xml.etree.ElementTree as tree


def main():
    try:
        cases = tree.parse(sys.argv[1]).getroot().findall("testcase")
    except (OSError, tree.ParseError):
        sys.exit(1)
    if not cases:
        sys.exit(1)
    skip = re.compile(r"^\s*(?:skip(?:ped)?|left out): (.*)$", re.M | re.I)
    rows = {"run": [], "fail": [], "skip": []}
    for case in cases:
        output = case.findtext("system-out") or ""
        if case.get("status") == "run" and skip.search(output):
            rows["skip"].append((case.get("name"), output))
        elif case.get("status") == "run":
            rows["run"].append((case.get("name"), output))
        elif case.get("status") == "notrun" or case.find("skipped") is not None:
            rows["skip"].append((case.get("name"), output))
        else:
            rows["fail"].append((case.get("name"), output))
    print(len(rows["run"]), len(rows["fail"]), len(rows["skip"]))
    for name, output in rows["skip"]:
        why = skip.search(output)
        print("skipped:", name, "-", why.group(1) if why else "not run")
    for name, _ in rows["fail"]:
        print("failed:", name)


if __name__ == "__main__":
    main()
