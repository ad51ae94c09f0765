"""What is no death: the short form of fault.py, each fault once in each step."""
import random
import unittest

import fault
import kill_yard


class Fault(unittest.TestCase):
    """One daemon for all: what a fault leaves behind is where the next one begins."""

    @classmethod
    def setUpClass(cls):
        cls.yard = kill_yard.Yard()
        cls.addClassCleanup(cls.yard.close)

    def strike(self, name, least):
        """least: in how many steps it has to have hit something."""
        lines = []
        striker = fault.Striker(self.yard, random.Random(name), lines.append)
        try:
            for kind in kill_yard.STEPS:
                striker.strike(kind(self.yard), name)
        except (fault.Failed, AssertionError) as error:
            self.fail("\n".join([*lines, str(error), self.yard.daemon.tail(60)]))
        self.assertGreaterEqual(striker.hits, least, lines)

    def test_the_disk_is_full(self):
        self.strike("full", 4)

    def test_the_disk_is_broken(self):
        self.strike("io", 4)

    def test_no_descriptor_is_left(self):
        self.strike("files", 4)

    def test_no_process_can_be_made(self):
        # A prune and the stop of a pod make none.
        self.strike("processes", 2)

    def test_the_daemon_stands_still(self):
        self.strike("stopped", 5)

    def test_a_container_is_killed(self):
        self.strike("container", 4)

    def test_git_does_not_answer(self):
        self.strike("git", 5)

    def test_rules_and_links_are_taken_away(self):
        self.strike("meddling", 4)


if __name__ == "__main__":
    unittest.main()
