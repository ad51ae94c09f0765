"""Sources as they are outside: servers that ask who is there, and workers that have few rights."""
import pathlib
import pwd
import unittest

import harness
from harness import eventually

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: default
data:
  value: "{value}"
"""


def workers_of(daemon):
    """/proc/PID/status of the daemon's Git workers, as dictionaries."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            rows = dict(line.split(":\t", 1) for line in path.read_text().splitlines()
                        if ":\t" in line)
        except OSError:
            continue
        if rows.get("Name") == "moored-git" and rows["PPid"] == str(daemon.process.pid):
            found.append(rows)
    return found


class Case(unittest.TestCase):
    """A world for each test; what a test made is gone after it."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.repository = harness.Repository(self.world)

    def configure(self, text):
        path = self.world.directory / "moored.yaml"
        path.write_text(text)
        return path

    def wait_for_value(self, daemon, name, value):
        eventually(f"{name} to be {value}", lambda: daemon.get(
            "configmap", name, "-n", "default")["data"]["value"] == value)


class Worker(Case):
    def test_the_worker_is_another_user_without_rights(self):
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        self.repository.push("first")
        config = self.configure("sources:\n  user: nobody\n")
        daemon = self.world.daemon("node", "--config", config, "--git", self.repository.url).start()
        self.wait_for_value(daemon, "a", "one")
        workers = workers_of(daemon)
        self.assertEqual(len(workers), 1)
        user = pwd.getpwnam("nobody")
        self.assertEqual(workers[0]["Uid"].split(), [str(user.pw_uid)] * 4)
        self.assertEqual(workers[0]["Gid"].split(), [str(user.pw_gid)] * 4)
        self.assertEqual(workers[0]["NoNewPrivs"], "1")
        self.assertEqual(workers[0]["Seccomp"], "2")
        for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            self.assertEqual(int(workers[0][name], 16), 0, name)
        home = daemon.state_dir / "mirrors" / "moored-system_default"
        owners = {path.lstat().st_uid for path in [home, *home.rglob("*")]}
        self.assertEqual(owners, {user.pw_uid})

    def test_a_mirror_changes_its_owner_with_the_configuration(self):
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        self.repository.push("first")
        daemon = self.world.daemon("node", "--git", self.repository.url).start()
        self.wait_for_value(daemon, "a", "one")
        daemon.kill()
        daemon.arguments += ["--config", self.configure("sources:\n  user: nobody\n")]
        daemon.start()
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="two"))
        self.repository.push("second")
        self.wait_for_value(daemon, "a", "two")
        self.assertEqual({rows["Uid"].split()[0] for rows in workers_of(daemon)},
                         {str(pwd.getpwnam("nobody").pw_uid)})

    def test_a_user_that_is_missing_is_said(self):
        state = self.world.directory / "state"
        result = harness.run(
            *self.world.inside(harness.BIN / "moored", "run", "--state-dir", state, "--config",
                               self.configure("sources:\n  user: moored-no-such-user\n")),
            check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("useradd", result.stderr)
        self.assertFalse(state.exists())


if __name__ == "__main__":
    unittest.main()
