"""The daemon under a supervisor, and what the package has besides programs."""
import re
import signal
import socket
import subprocess
import unittest

import harness
from harness import BIN, eventually, run

SOURCE = harness.pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGE = SOURCE / "docs" / "package"


class Supervised(unittest.TestCase):
    """A socket where systemd's would be."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.daemon = self.world.daemon("supervised")
        self.config = self.world.directory / "moored.yaml"
        self.config.write_text("policy: {default: baseline}\n")
        path = self.world.directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(30)
        self.addCleanup(self.socket.close)
        self.daemon.arguments = ["env", f"NOTIFY_SOCKET={path}", *self.daemon.arguments,
                                 "--config", self.config]

    def hear(self, word):
        """Waits for a message with this line; all messages until then."""
        heard = []
        while not heard or word not in heard[-1].split("\n"):
            heard.append(self.socket.recv(4096).decode())
        return heard

    def test_readiness_life_and_end_are_told(self):
        self.daemon.arguments[1:1] = ["WATCHDOG_USEC=300000"]
        self.daemon.start()
        self.assertIn("STATUS=keeps node supervised", self.hear("READY=1")[-1])
        for _ in range(3):
            self.hear("WATCHDOG=1")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.hear("STOPPING=1")
        self.assertEqual(self.daemon.process.wait(30), 0)

    def test_a_hangup_takes_a_configuration_that_holds(self):
        self.daemon.start()
        self.hear("READY=1")
        self.config.write_text("policy: {default: nonsense}\n")
        checked = run(BIN / "moored", "check", "--config", self.config, check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("moored.yaml:1:19", checked.stderr)
        self.daemon.process.send_signal(signal.SIGHUP)
        eventually("the refusal", lambda: "the one before stays in force" in self.daemon.tail())
        self.daemon.report("status")  # it goes on
        self.config.write_text("policy: {default: restricted}\n")
        run(BIN / "moored", "check", "--config", self.config)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.daemon.process.wait(30), 75)


class Package(unittest.TestCase):
    """Completion and man pages say what the programs can."""

    def commands(self, *path):
        text = run(BIN / "moorctl", *path, "--help").stdout
        section = text.split("Subcommands:\n")[1]
        return [line.split()[0] for line in section.splitlines() if line.startswith("  ")]

    def complete(self, *words):
        script = (f'. {PACKAGE / "moorctl.bash"}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_moorctl; printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(
            ["env", f"PATH={BIN}:/usr/bin:/bin", "bash", "-c", script, "bash", "moorctl", *words],
            capture_output=True, text=True, check=True)
        return result.stdout.split()

    def test_completion_knows_commands_options_and_words(self):
        self.assertLessEqual(set(self.commands()), set(self.complete("")))
        self.assertEqual(self.complete("st"), ["status"])
        self.assertLessEqual({"import", "ls", "rm"}, set(self.complete("image", "")))
        self.assertIn("--ref", self.complete("plan", "--r"))
        self.assertEqual(self.complete("plan", "-o", ""), ["json", "markdown", "text"])
        self.assertEqual(self.complete("image", "ls", "--output", "j"), ["json"])
        self.assertIn(str(PACKAGE / "moored.8"), self.complete("validate", str(PACKAGE / "moored.8")))

    def test_every_command_and_option_has_its_place_in_the_man_page(self):
        page = (PACKAGE / "moorctl.1").read_text()
        for command in self.commands():
            self.assertRegex(page, rf"\.(It )?Cm {command}|\.Cm .*\b{command}\b", command)
        flags = set(re.findall(r"--([a-z-]+)", run(BIN / "moored", "run", "--help").stdout))
        page = (PACKAGE / "moored.8").read_text()
        for flag in flags - {"help", "run"}:
            self.assertIn(f"Fl -{flag}", page, flag)

    def test_systemd_takes_the_units(self):
        if not harness.shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        # The programs are not installed here; everything else it could say is about the units.
        said = run("systemd-analyze", "verify", "--man=no", PACKAGE / "moored.service",
                   PACKAGE / "moored-pods.service", check=False)
        left = [line for line in (said.stdout + said.stderr).splitlines()
                if "moored" in line and "is not executable" not in line]
        self.assertEqual(left, [])
