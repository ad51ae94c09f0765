"""Death at every step: the short form of kill.py, a few kills in each part of each step."""
import random
import unittest

import kill
import kill_yard

# Kills of the daemon and of a shim for each step; the dice are the same every time.
KILLS_OF_DAEMON = 4
KILLS_OF_SHIM = 2


class Kill(unittest.TestCase):
    """One daemon for all: what a kill leaves behind is where the next one begins."""

    @classmethod
    def setUpClass(cls):
        cls.yard = kill_yard.Yard()
        cls.addClassCleanup(cls.yard.close)

    def setUp(self):
        self.lines = []
        self.killer = kill.Killer(self.yard, self.lines.append)
        self.dice = random.Random(self.id())

    def spread(self, kind, whom, count):
        try:
            calls = self.killer.spread(kind(self.yard), whom, count, self.dice)
        except (kill.Failed, AssertionError) as error:
            self.fail("\n".join([*self.lines, str(error), self.yard.daemon.tail(20)]))
        self.assertGreater(calls, 0, "nothing was counted, so nothing was tested")
        return sum(self.killer.kills.values())

    def test_the_daemon_dies_in_a_first_start(self):
        self.assertGreaterEqual(self.spread(kill_yard.FirstStart, "daemon", KILLS_OF_DAEMON), 3)

    def test_the_daemon_dies_in_a_rolling_update(self):
        self.assertGreaterEqual(self.spread(kill_yard.RollingUpdate, "daemon", KILLS_OF_DAEMON), 3)

    def test_the_daemon_dies_in_a_prune(self):
        self.assertGreaterEqual(self.spread(kill_yard.Prune, "daemon", KILLS_OF_DAEMON), 3)

    def test_the_daemon_dies_while_a_pod_stops(self):
        self.assertGreaterEqual(self.spread(kill_yard.Stop, "daemon", KILLS_OF_DAEMON), 3)

    def test_the_daemon_dies_in_an_adoption(self):
        self.assertGreaterEqual(self.spread(kill_yard.Adoption, "daemon", KILLS_OF_DAEMON), 2)

    def test_a_shim_dies_in_a_rolling_update(self):
        self.assertGreaterEqual(self.spread(kill_yard.RollingUpdate, "shim", KILLS_OF_SHIM), 1)

    def test_a_shim_dies_in_a_prune(self):
        self.assertGreaterEqual(self.spread(kill_yard.Prune, "shim", KILLS_OF_SHIM), 1)

    def test_a_shim_dies_while_its_pod_stops(self):
        self.assertGreaterEqual(self.spread(kill_yard.Stop, "shim", KILLS_OF_SHIM), 1)

    def test_a_shim_dies_in_an_adoption(self):
        self.assertGreaterEqual(self.spread(kill_yard.Adoption, "shim", KILLS_OF_SHIM), 1)

    def test_they_die_at_random_moments(self):
        """The other runner, for one round of each step."""
        runner = kill.RandomKiller(self.yard, self.dice, self.lines.append)
        try:
            runner.run(1, 1)
        except (kill.Failed, AssertionError) as error:
            self.fail("\n".join([*self.lines, str(error), self.yard.daemon.tail(20)]))
        self.assertGreaterEqual(runner.total(False), len(kill_yard.STEPS))


if __name__ == "__main__":
    unittest.main()
