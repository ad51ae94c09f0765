#!/usr/bin/env python3
"""Strikes while something is done: the cells of the table of steps and faults that are no deaths.

    tests/e2e/fault.py --rounds 10                every fault, ten times in each step
    options: --only FAULT, --step STEP, --times N, --seed N, --bin DIRECTORY

Calls that fail (a full or broken disk, no descriptors, no processes) are let fail by moored-tracer,
a few in a row, from a random one on. The others are done by hand at a random moment: the daemon
stands still, a container is killed, git does not answer, rules and links are taken away. Afterwards
everything has to become as the last commit wants it and moored-invariants has to be silent.
"""
import argparse
import contextlib
import os
import pathlib
import random
import signal
import sys
import time

import harness
from harness import Failed, eventually, run
from kill import RandomKiller
from kill_yard import (BEGINNINGS, STEPS, Adoption, FirstStart, RollingUpdate, Tracer, Yard,
                       is_alive)

CALLS = ("full", "io", "files", "processes")
IN_SHIM = tuple(f"shim-{fault}" for fault in CALLS)
BY_HAND = ("stopped", "container", "git", "meddling")
FAULTS = CALLS + IN_SHIM + BY_HAND
NOTHING = "there was nothing"
STANDSTILL = 1.0  # seconds for which the daemon or git stands still


class Striker(RandomKiller):
    """Does the steps of the yard, and one fault in each."""

    # Calls that fail in a row. After each that fails on a broken disk the store waits for longer.
    TIMES = {"full": 2, "io": 2, "files": 20, "processes": 20}
    MOST = 300  # where a call may fail, when the step is known to make more
    FIRST = 20  # the first of them is within so many, until it is known how many a step makes
    FIRST_IN_SHIM = 4

    def __init__(self, yard, dice, say=print):
        super().__init__(yard, dice, say)
        self.calls = {}  # how many calls of a kind a step makes
        self.hits = 0    # rounds in which something was there to be hit

    def strike(self, step, fault):
        """One round. What it did, in words."""
        before = {} if isinstance(step, FirstStart) else self.yard.identities()
        if fault in CALLS:
            what = self.let_fail(step, fault)
        elif fault in IN_SHIM:
            what = self.let_shim_fail(step, fault)
        else:
            self.begin(step)
            time.sleep(self.dice.random() * max(0.3, self.seconds[step.name]))
            what = getattr(self, fault)()
            if isinstance(step, BEGINNINGS):
                self.yard.listen()
            self.hits += what != NOTHING
        self.count(f"{fault} during {step.name}")
        self.say(f"{step.name}: {fault}: {what}")
        any_pod = fault == "container" or fault in IN_SHIM
        kept = (lambda pod: pod.startswith("anchor")) if any_pod else step.keeps
        if isinstance(step, FirstStart):
            kept = step.keeps
        self.yard.check(before, kept, 120, 30 if fault == "meddling" else 0)
        traced = fault in CALLS or (fault in IN_SHIM and isinstance(step, FirstStart))
        if traced and isinstance(step, BEGINNINGS):
            self.restart()
        step.finish()

    # ---- calls that fail ----

    def let_fail(self, step, fault):
        yard = self.yard
        most = self.calls.get((step.name, fault), self.FIRST)
        at = self.dice.randint(1, most)
        options = ["--fail", fault, "--times", self.TIMES[fault]]
        step.prepare()
        if isinstance(step, BEGINNINGS):
            tracer = yard.start_traced(at, *options)
        else:
            tracer = Tracer(at, [*options, "--pid", yard.daemon.process.pid])
            step.act()
        what = self.watch(step, fault, tracer)
        pid = yard.find_daemon()
        if pid is None or not is_alive(pid):
            # What starts the daemon again on a machine of users is systemd.
            with contextlib.suppress(OSError):
                yard.daemon.process.wait(10)
            yard.daemon.start()
            what += "; the daemon ended"
        return what

    def watch(self, step, fault, tracer):
        """Waits for the end of the step, or as long as calls may go on to fail."""
        with contextlib.suppress(Failed):
            eventually("the step to end", lambda: tracer.has_ended() or self.is_over(), 15)
        result = tracer.done()
        if not result["killed"]:
            self.calls[step.name, fault] = max(result["calls"], 1)
            return f"only {result['calls']} calls, none failed"
        self.hits += 1
        self.calls[step.name, fault] = self.MOST
        return f"{result['call']} {result['number']} ({result['thread']}) {result['target']}"

    def let_shim_fail(self, step, fault):
        """In a new shim where the step makes some, else in that of a pod that the step ends."""
        yard = self.yard
        at = self.dice.randint(1, self.calls.get((step.name, fault), self.FIRST_IN_SHIM))
        kind = fault.removeprefix("shim-")
        options = ["--fail", kind, "--times", self.TIMES[kind]]
        if isinstance(step, FirstStart):
            step.prepare()
            tracer = yard.start_traced(at, *options, "--child", "moored-shim")
            what = self.watch(step, fault, tracer)
            yard.listen()
            return what
        if isinstance(step, RollingUpdate):
            tracer = Tracer(at, [*options, "--child", "moored-shim", "--pid",
                                 yard.daemon.process.pid])
        else:
            tracer = Tracer(at, [*options, "--pid", yard.shim_of(step.victim or "stopper")])
        step.prepare()
        yard.daemon.start() if isinstance(step, Adoption) else step.act()
        return self.watch(step, fault, tracer)

    def is_over(self):
        try:
            return self.yard.read_port() and self.yard.is_settled()
        except (OSError, Failed, ValueError, KeyError):
            return False

    def restart(self):
        """Takes a daemon that a tracer has started out of its hands."""
        self.yard.end_orphan()
        self.yard.daemon.start()

    # ---- by hand ----

    def stopped(self):
        pid = self.yard.daemon.process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STANDSTILL)
        os.kill(pid, signal.SIGCONT)
        return f"for {STANDSTILL:.0f} s"

    def container(self):
        """Kills the first process of some container, as the kernel or an operator may."""
        for shim in self.dice.sample(shims := self.living_shims(), len(shims)):
            with contextlib.suppress(OSError):
                children = pathlib.Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
                if children:
                    os.kill(int(children[0]), signal.SIGKILL)
                    return f"process {children[0]} of shim {shim}"
        return NOTHING

    def git(self):
        os.killpg(self.yard.world.children[0].pid, signal.SIGSTOP)
        time.sleep(STANDSTILL)
        os.killpg(self.yard.world.children[0].pid, signal.SIGCONT)
        return f"silent for {STANDSTILL:.0f} s"

    def meddling(self):
        """Rules of the pods, and the link of one of them."""
        done = []
        with contextlib.suppress(OSError):
            table = f"moored_{self.yard.daemon.instance()}"
            gone = run(*self.yard.world.inside("nft", "delete", "table", "ip", table), check=False)
            done.append(f"{table} {'deleted' if gone.returncode == 0 else 'not there'}")
        with contextlib.suppress(OSError):
            spaces = sorted((self.yard.daemon.run_dir / "net").iterdir())
            if spaces:
                space = self.dice.choice(spaces)
                run("nsenter", f"--net={space}", "ip", "link", "del", "eth0", check=False)
                done.append(f"eth0 of {space.name} deleted")
        return ", ".join(done) or NOTHING


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--step", default="", help="steps whose name holds this")
    parser.add_argument("--times", type=int, help="calls that fail in a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", help="directory of the programs")
    arguments = parser.parse_args()
    if arguments.bin:
        harness.BIN = pathlib.Path(arguments.bin).resolve()
    harness.end_on_signal()
    yard = Yard()
    try:
        striker = Striker(yard, random.Random(arguments.seed), lambda text: print(text, flush=True))
        if arguments.times:
            striker.TIMES = dict.fromkeys(CALLS, arguments.times)
        for _ in range(arguments.rounds):
            for fault in FAULTS:
                for kind in STEPS:
                    if arguments.only in fault and arguments.step in kind.name:
                        striker.strike(kind(yard), fault)
        for cell, count in sorted(striker.kills.items()):
            print(f"{count:5}  {cell}")
    except BaseException:
        print(yard.daemon.tail(60), file=sys.stderr)
        raise
    finally:
        yard.close()


if __name__ == "__main__":
    main()
