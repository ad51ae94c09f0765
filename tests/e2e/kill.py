#!/usr/bin/env python3
"""Kills the daemon and its shims at every step of what they do, and looks at what comes of it.

    tests/e2e/kill.py --every 1                  in front of every changing system call of each step
    tests/e2e/kill.py --every 20 --offset 3      in front of the 3rd, 23rd, 43rd ...
    tests/e2e/kill.py --random 1000 --shims 200  at random moments; prints kills for each phase
    options: --seed N, --only STEP, --bin DIRECTORY, --yards N (random killers side by side)

At random moments the daemon and shims are killed while commits come without a pause.

After each kill the daemon is started again, everything has to become as the last commit wants it,
moored-invariants has to be silent, and pods that the step does not concern have to be the same
ones, unrestarted. moored-tracer does the killing: no program that is tested knows of it.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

import harness
from harness import Failed, eventually
from kill_yard import (BEGINNINGS, STEPS, Adoption, Churn, FirstStart, RollingUpdate, Tracer,
                       Yard, is_alive)


class Killer:
    """Kills by number. Prints a line for each kill; the first thing that is wrong ends it."""

    def __init__(self, yard, say=print):
        self.yard = yard
        self.say = say
        self.kills = {}

    def note(self, step, whom, where):
        key = (step.name, whom)
        self.kills[key] = self.kills.get(key, 0) + 1
        self.say(f"{step.name}: {whom} killed in front of {where['call']} "
                 f"number {where['number']} ({where['thread']}) {where['target']}")

    def wait_for(self, tracer):
        """Until the kill, or until the step is over without one. What the tracer says."""
        eventually("the step to end, or the kill",
                   lambda: tracer.has_ended() or self.is_over(), 90)
        return tracer.done()

    def is_over(self):
        try:
            return self.yard.read_port() and self.yard.is_settled()
        except (OSError, Failed, ValueError, KeyError, subprocess.SubprocessError):
            return False

    def daemon(self, step, at):
        """One kill of the daemon. The number of calls when it was not reached, else None."""
        yard = self.yard
        before = {} if isinstance(step, FirstStart) else yard.identities()
        step.prepare()
        if isinstance(step, BEGINNINGS):
            tracer = yard.start_traced(at)
        else:
            tracer = Tracer(at, ["--pid", yard.daemon.process.pid])
            step.act()
        result = self.wait_for(tracer)
        if result["killed"]:
            self.note(step, "daemon", result)
            with contextlib.suppress(subprocess.TimeoutExpired):
                yard.daemon.process.wait(10)
        # A daemon that was the tracer's child goes on without it, but is no child of ours.
        if result["killed"]:
            yard.daemon.start()
        elif isinstance(step, BEGINNINGS):
            self.restart()
        yard.check(before, step.keeps)
        step.finish()
        return None if result["killed"] else result["calls"]

    def restart(self):
        """Takes a daemon that a tracer has started out of its hands."""
        self.yard.end_orphan()
        self.yard.daemon.start()

    def shim(self, step, at):
        """One kill of a shim: of a new one where the step makes some, else of the victim's."""
        yard = self.yard
        before = {} if isinstance(step, FirstStart) else yard.identities()
        target = step.victim or "stopper"
        if isinstance(step, FirstStart):
            step.prepare()
            tracer = yard.start_traced(at, "--child", "moored-shim")
        elif isinstance(step, RollingUpdate):
            tracer = Tracer(at, ["--child", "moored-shim", "--pid", yard.starter()])
            step.act()
        else:
            tracer = Tracer(at, ["--pid", yard.shim_of(target)])
            step.prepare()
            yard.daemon.start() if isinstance(step, Adoption) else step.act()
        result = self.wait_for(tracer)
        if result["killed"]:
            self.note(step, "shim", result)
        if isinstance(step, FirstStart):
            yard.listen()
        yard.check(before, lambda pod: step.keeps(pod) and not pod.startswith(target))
        if isinstance(step, FirstStart):
            self.restart()
        step.finish()
        return None if result["killed"] else result["calls"]

    def sweep(self, step, whom, every, offset, most=None):
        """Every so many calls, until the step ends unharmed. The number of calls it made."""
        at, done = offset, 0
        while most is None or done < most:
            calls = getattr(self, whom)(step, at)
            if calls is not None:
                return calls
            at += every
            done += 1
        return None

    def spread(self, step, whom, count, dice):
        """A few kills spread over the step: counted once unharmed, then one in each part."""
        calls = getattr(self, whom)(step, 10 ** 9)
        parts = [calls * n // count for n in range(count + 1)]
        for low, high in zip(parts, parts[1:]):
            getattr(self, whom)(step, dice.randint(low + 1, max(low + 1, high)))
        return calls


class RandomKiller:
    """Kills at random moments of each step, several times over where the dice say so."""

    MOST_IN_A_ROW = 4

    def __init__(self, yard, dice, say=print):
        self.yard = yard
        self.dice = dice
        self.say = say
        self.kills = {}
        self.seconds = {kind.name: 1.0 for kind in STEPS}

    def count(self, phase):
        self.kills[phase] = self.kills.get(phase, 0) + 1

    def begin(self, step):
        step.prepare()
        if isinstance(step, BEGINNINGS):
            self.launch()
        else:
            step.act()

    def launch(self):
        """Starts the daemon and does not wait for it."""
        with contextlib.suppress(FileNotFoundError):
            (self.yard.daemon.run_dir / "api.json").unlink()
        with open(self.yard.daemon.output, "ab") as log:
            self.yard.daemon.process = subprocess.Popen(
                self.yard.world.inside(*self.yard.daemon.arguments), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True)

    def measure(self, step):
        """How long the step takes unharmed: kills come within this time."""
        began = time.monotonic()
        self.begin(step)
        self.yard.listen()
        self.yard.settle()
        self.seconds[step.name] = time.monotonic() - began
        step.finish()

    def daemons(self, step):
        """One round: the step, and the daemon killed up to MOST_IN_A_ROW times within it."""
        before = {} if isinstance(step, FirstStart) else self.yard.identities()
        with Churn(self.yard, self.dice):
            self.begin(step)
            for n in range(self.dice.randint(1, self.MOST_IN_A_ROW)):
                time.sleep(self.dice.random() * max(0.3, self.seconds[step.name] * 0.8))
                self.yard.daemon.kill()
                self.count(step.name if n == 0 else step.name + ", in the recovery")
                self.launch()
        self.yard.listen()
        self.yard.check(before, step.keeps)
        step.finish()

    def shims(self, step):
        """One round: shims killed while pods come and go. Any pod may be hit but the anchor's."""
        before = self.yard.identities()
        with Churn(self.yard, self.dice):
            step.act()
            for _ in range(self.dice.randint(1, self.MOST_IN_A_ROW)):
                time.sleep(self.dice.random() * 0.4)
                shims = self.living_shims()
                if shims:
                    os.kill(self.dice.choice(shims), signal.SIGKILL)
                    self.count("shim during " + step.name)
        # A pod that is hit again and again backs off for longer each time.
        self.yard.check(before, lambda pod: pod.startswith("anchor"), 180)
        step.finish()

    def living_shims(self):
        """Processes of the shims of every application but the anchor."""
        found = []
        for path in (self.yard.daemon.run_dir / "pods").glob("*/shim.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                pod = json.loads((path.parent / "pod.json").read_text())
                if '"anchor' in json.dumps(pod):
                    continue
                pid = json.loads(path.read_text())["pid"]
                if is_alive(pid):
                    found.append(pid)
        return found

    def run(self, kills, shims):
        steps = [kind(self.yard) for kind in STEPS]
        for step in steps if kills > len(steps) else ():
            self.measure(step)
            self.say(f"{step.name} takes {self.seconds[step.name]:.1f} s")
        while self.total(False) < kills:
            for step in steps:
                self.daemons(step)
            self.say(f"{self.total(False)} kills of the daemon")
        while self.total(True) < shims:
            for step in (steps[1], steps[2], steps[3]):
                self.shims(step)
            self.say(f"{self.total(True)} kills of shims")
        print_table(self.kills, self.say)

    def total(self, of_shims):
        return sum(n for phase, n in self.kills.items() if phase.startswith("shim") == of_shims)


def run_side_by_side(arguments):
    """Several random killers, each with a yard and a seed of its own; one table for all."""
    share = [str(-(-count // arguments.yards)) for count in (arguments.random, arguments.shims)]
    children = []
    for n in range(arguments.yards):
        children.append(subprocess.Popen(
            [sys.executable, __file__, "--random", share[0], "--shims", share[1],
             "--seed", str(arguments.seed + n), "--bin", str(harness.BIN)],
            stdout=subprocess.PIPE, text=True))
    table, lock = {}, threading.Lock()

    def read(n, child):
        for line in child.stdout:
            row = re.fullmatch(r" *(\d+) {2}(.+)\n", line)
            with lock:
                if row:
                    table[row[2]] = table.get(row[2], 0) + int(row[1])
                else:
                    print(f"{n}: {line}", end="", flush=True)

    readers = [threading.Thread(target=read, args=pair) for pair in enumerate(children)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    codes = [child.wait() for child in children]
    print_table(table)
    if any(codes):
        sys.exit(1)


def print_table(kills, say=print):
    for phase, count in sorted(kills.items()):
        say(f"{count:5}  {phase}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, help="system calls from one kill to the next")
    parser.add_argument("--offset", type=int, default=1)
    parser.add_argument("--random", type=int, default=0, help="kills of the daemon")
    parser.add_argument("--shims", type=int, default=0, help="random kills of shims")
    parser.add_argument("--yards", type=int, default=1, help="random killers side by side")
    parser.add_argument("--only", default="", help="steps whose name holds this")
    parser.add_argument("--whom", choices=("daemon", "shim"), help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", help="directory of the programs")
    arguments = parser.parse_args()
    if arguments.bin:
        harness.BIN = pathlib.Path(arguments.bin).resolve()
    if arguments.yards > 1:
        run_side_by_side(arguments)
        return
    harness.end_on_signal()
    yard = Yard()
    try:
        if arguments.every:
            killer = Killer(yard, lambda text: print(text, flush=True))
            for kind in STEPS:
                if arguments.only not in kind.name:
                    continue
                for whom in ("daemon", "shim"):
                    if arguments.whom in (None, whom):
                        calls = killer.sweep(kind(yard), whom, arguments.every, arguments.offset)
                        print(f"{kind.name}: unharmed after {calls} calls of the {whom}",
                              flush=True)
            for (step, whom), count in killer.kills.items():
                print(f"{count:5} {step}: {whom}")
        if arguments.random or arguments.shims:
            RandomKiller(yard, random.Random(arguments.seed),
                         lambda text: print(text, flush=True)).run(arguments.random,
                                                                   arguments.shims)
    except BaseException:
        print(yard.daemon.tail(60), file=sys.stderr)
        raise
    finally:
        yard.close()


if __name__ == "__main__":
    main()
