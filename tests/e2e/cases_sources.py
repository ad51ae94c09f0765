"""Sources as they are outside: servers that ask who is there, and workers that have few rights."""
import json
import os
import pathlib
import pwd
import shutil
import stat
import sys
import unittest

import harness
import names
from harness import eventually

SERVER = pathlib.Path(__file__).with_name("git_server.py")
# install-dependencies.sh test unpacks one there; one of the machine itself does as well.
SSHD = (os.environ.get("MOORED_SSHD") or shutil.which("sshd", path="/usr/sbin:/usr/bin") or
        "/usr/local/lib/moored-tests/sshd")
CANARY = "CANARY-7c1e"  # part of every secret; must stand nowhere
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: default
data:
  value: "{value}"
"""


SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: {name}, namespace: default}}
spec:
  url: {url}
  interval: 1s
  ref: {{branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: default}}
spec:
  interval: 1m
  path: ./
  prune: true
  sourceRef: {{kind: GitRepository, name: {name}}}
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


class Server(Case):
    """A source on a server of its own kind; the settings of that are the test's."""

    def setUp(self):
        super().setUp()
        self.secrets = self.world.directory / "secrets"
        self.ports = iter(range(20000, 20100))  # of this namespace only
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        self.repository.push("first")

    def make_authority(self, name):
        """A certificate authority with a certificate for 127.0.0.1 and one for a client."""
        authority = names.Authority(self.world.directory, name)
        authority.sign(f"{name}-server",
                       "subjectAltName=IP:127.0.0.1,DNS:git.example")
        authority.sign(f"{name}-client", "extendedKeyUsage=clientAuth")

    def serve(self, **settings):
        """Starts git_server.py; its port."""
        port = next(self.ports)
        path = self.world.directory / f"server-{port}.json"
        path.write_text(json.dumps({"root": str(self.world.directory / "git"),
                                    "log": str(self.world.directory / f"server-{port}.log"),
                                    **settings}))
        self.world.start(sys.executable, SERVER, str(port), path)
        address = settings.get("address", "127.0.0.1")
        eventually("the server to listen", lambda: harness.run(*self.world.inside(
            sys.executable, "-c", f"import socket; socket.create_connection(('{address}', {port}))"
        ), check=False).returncode == 0)
        return port

    def tls(self, name="authority"):
        at = self.world.directory
        return {"certificate": str(at / f"{name}-server.crt"),
                "key": str(at / f"{name}-server.key")}

    def secret(self, name, **values):
        """Puts a directory of files where secretRef finds it."""
        place = self.secrets / "moored-system" / name
        place.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            path = place / key.replace("_dot_", ".")
            path.write_text(value)
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    def read(self, name):
        return (self.world.directory / name).read_text()

    def follow(self, url, more=""):
        """A daemon that follows the URL with the Secrets named in more, as another user."""
        config = self.configure(f"source:\n  url: {url}\n{more}"
                                f"sources:\n  user: nobody\n  secretsDir: {self.secrets}\n")
        return self.world.daemon("node", "--config", config).start()

    def wait_for_reason(self, daemon, *reasons):
        """Our finer word stands before the sentence; the reason is Flux's."""
        def seen():
            ready = {row["type"]: row for row in daemon.get(
                "gitrepository", "default", "-n", "moored-system")["status"]["conditions"]}["Ready"]
            word = ready["message"].partition(":")[0]
            return ready if ready["status"] == "False" and word in reasons else None
        return eventually(f"the source to say {' or '.join(reasons)}", seen)

    def assert_nowhere(self, daemon):
        """No part of a secret is in the log, the API, the audit trail or a command line."""
        said = daemon.output.read_text(errors="replace")
        for kind in ("gitrepositories", "events", "kustomizations", "secrets"):
            said += daemon.kubectl("get", kind, "-A", "-o", "yaml").stdout
        said += daemon.ctl("status", "-o", "json").stdout
        said += daemon.ctl("history", "gitrepository/moored-system/default", check=False).stdout
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if b"moored" in path.read_bytes():
                    said += path.read_bytes().decode(errors="replace")
            except OSError:
                continue
        self.assertNotIn(CANARY, said)


class Https(Server):
    def setUp(self):
        super().setUp()
        self.make_authority("authority")

    def url(self, port):
        return f"https://127.0.0.1:{port}/manifests.git"

    def test_basic_auth_with_a_private_authority(self):
        port = self.serve(basic=f"robot:{CANARY}", **self.tls())
        self.secret("git", username="robot\n", password=CANARY + "\n",
                    ca_dot_crt=self.read("authority.crt"))
        daemon = self.follow(self.url(port), "  secret: git\n")
        self.wait_for_value(daemon, "a", "one")
        # A password that is renewed on disk counts with the next look.
        self.secret("git", password=CANARY + "-wrong\n")
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="two"))
        self.repository.push("second")
        self.wait_for_reason(daemon, "AuthFailed")
        self.secret("git", password=CANARY + "\n")
        daemon.sync()
        self.wait_for_value(daemon, "a", "two")
        self.assert_nowhere(daemon)

    def test_a_server_by_its_name(self):
        names.serve(self.world)
        port = self.serve(address=names.ADDRESS, **self.tls())
        self.secret("git", ca_dot_crt=self.read("authority.crt"))
        url = "https://{}:" + f"{port}/manifests.git"
        daemon = self.follow(url.format("git.example"), "  secret: git\n")
        self.wait_for_value(daemon, "a", "one")
        daemon.down()
        # The same server under a name that its certificate does not have.
        config = self.configure(f"source:\n  url: {url.format('other.example')}\n  secret: git\n"
                                f"sources:\n  secretsDir: {self.secrets}\n")
        other = self.world.daemon("other", "--config", config).start()
        self.wait_for_reason(other, "TlsRefused")

    def test_a_token(self):
        port = self.serve(bearer=CANARY, **self.tls())
        self.secret("git", bearerToken=CANARY + "\n", caFile=self.read("authority.crt"))
        daemon = self.follow(self.url(port), "  secret: git\n")
        self.wait_for_value(daemon, "a", "one")
        self.assert_nowhere(daemon)

    def test_an_unknown_authority_and_missing_credentials_are_refused(self):
        port = self.serve(basic=f"robot:{CANARY}", **self.tls())
        daemon = self.follow(self.url(port))
        self.wait_for_reason(daemon, "TlsRefused")
        daemon.down()
        self.secret("git", ca_dot_crt=self.read("authority.crt"))
        other = self.configure(f"source:\n  url: {self.url(port)}\n  secret: git\n"
                               f"sources:\n  secretsDir: {self.secrets}\n")
        daemon = self.world.daemon("other", "--config", other).start()
        self.wait_for_reason(daemon, "AuthFailed")

    def test_a_client_certificate(self):
        port = self.serve(client_ca=str(self.world.directory / "authority.crt"), **self.tls())
        self.secret("git", ca_dot_crt=self.read("authority.crt"))
        daemon = self.follow(self.url(port), "  secret: git\n")
        self.wait_for_reason(daemon, "TlsRefused")
        self.secret("git", tls_dot_crt=self.read("authority-client.crt"),
                    tls_dot_key=self.read("authority-client.key"))
        daemon.sync()
        self.wait_for_value(daemon, "a", "one")

    def test_redirects_stay_within_the_origin(self):
        elsewhere = self.serve(**self.tls())
        port = self.serve(redirect={
            "/near.git": "/manifests.git",
            "/far.git": f"https://127.0.0.1:{elsewhere}/manifests.git",
            "/plain.git": "http://127.0.0.1/manifests.git",
            "/round.git": "/round.git"}, **self.tls())
        self.secret("git", ca_dot_crt=self.read("authority.crt"))
        for name in ("far", "plain", "round"):
            with self.subTest(name):
                daemon = self.world.daemon(name, "--config", self.configure(
                    f"source:\n  url: https://127.0.0.1:{port}/{name}.git\n  secret: git\n"
                    f"sources:\n  secretsDir: {self.secrets}\n")).start()
                self.wait_for_reason(daemon, "RedirectRefused")
                daemon.kill()
        self.assertFalse((self.world.directory / f"server-{elsewhere}.log").exists())
        daemon = self.follow(f"https://127.0.0.1:{port}/near.git", "  secret: git\n")
        self.wait_for_value(daemon, "a", "one")

    def test_a_proxy(self):
        port = self.serve(**self.tls())
        proxy = self.serve(proxy=f"robot:{CANARY}")
        self.secret("git", ca_dot_crt=self.read("authority.crt"))
        self.secret("proxy", address=f"http://127.0.0.1:{proxy}\n", username="robot",
                    password=CANARY + "-wrong")
        daemon = self.follow(self.url(port), "  secret: git\n  proxySecret: proxy\n")
        self.wait_for_reason(daemon, "AuthFailed")
        self.secret("proxy", password=CANARY)
        daemon.sync()
        self.wait_for_value(daemon, "a", "one")
        self.assertIn(f"CONNECT 127.0.0.1:{port}", self.read(f"server-{proxy}.log"))
        self.assert_nowhere(daemon)


@unittest.skipUnless(os.access(SSHD, os.X_OK), "no sshd: set MOORED_SSHD or install one")
class Ssh(Server):
    USERS = ("root:x:0:0::/root:/bin/sh\nsshd:x:75001:65534::/run/sshd:/usr/sbin/nologin\n"
             "git:x:75002:65534::{home}:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n")

    def setUp(self):
        super().setUp()
        at = self.world.directory
        for name in ("identity", "host", "other"):
            harness.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", at / name)
        harness.run("ssh-keygen", "-q", "-p", "-N", CANARY, "-f", at / "identity")
        home = at / "git"
        (at / "authorized").write_text(self.read("identity.pub"))
        (at / "passwd").write_text(self.USERS.format(home=home))
        (at / "shadow").write_text("root:*:1::::::\nsshd:*:1::::::\ngit:*:1::::::\n")
        self.port = next(self.ports)
        # OpenSSH negotiates what it has: a server of one key, as known_hosts has it.
        (at / "sshd.conf").write_text(
            f"Port {self.port}\nPort 22\nListenAddress 127.0.0.1\nHostKey {at}/host\nUsePAM no\n"
            f"AuthorizedKeysFile {at}/authorized\nPasswordAuthentication no\nStrictModes no\n"
            "PidFile none\n")
        for path in self.repository.bare.rglob("*"):
            os.chown(path, 75002, 65534)
        os.chown(self.repository.bare, 75002, 65534)
        # In a mount namespace of its own, so that its users are nobody else's.
        script = (f"mount --bind {at}/passwd /etc/passwd && "
                  f"mount --bind {at}/shadow /etc/shadow && mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && "
                  f"exec {SSHD} -D -e -f {at}/sshd.conf")
        self.world.start("unshare", "--mount", "sh", "-c", script)
        self.host = self.read("host.pub").rsplit(" ", 1)[0]

    def known(self, key=None):
        return f"[127.0.0.1]:{self.port} {key or self.host}\n"

    def test_a_key_and_strict_known_hosts(self):
        self.secret("git", identity=self.read("identity"), password=CANARY + "\n",
                    known_hosts=self.known())
        url = f"ssh://git@127.0.0.1:{self.port}{self.repository.bare}"
        daemon = self.follow(url, "  secret: git\n")
        self.wait_for_value(daemon, "a", "one")
        # Another key at the same place: nothing is fetched until somebody has looked at it.
        self.secret("git", known_hosts=self.known(self.read("other.pub").rsplit(" ", 1)[0]))
        daemon.ctl("sync", check=False)
        self.wait_for_reason(daemon, "HostKeyMismatch")
        self.secret("git", known_hosts=self.known(), identity=self.read("other"))
        daemon.ctl("sync", check=False)
        self.wait_for_reason(daemon, "AuthFailed")
        self.assert_nowhere(daemon)

    def test_the_scp_form_and_the_name_in_known_hosts(self):
        """The path is below the user's home; the host is known by its name, not its address."""
        self.secret("git", identity=self.read("identity"), password=CANARY,
                    known_hosts=f"127.0.0.1 {self.host}\n")
        daemon = self.follow(f"git@localhost:{self.repository.bare.name}", "  secret: git\n")
        said = self.wait_for_reason(daemon, "HostKeyMismatch")
        self.assertIn("localhost is not in known_hosts", said["message"])
        self.secret("git", known_hosts=f"localhost {self.host}\n")
        daemon.ctl("sync", check=False)
        self.wait_for_value(daemon, "a", "one")
        self.assert_nowhere(daemon)

    def test_an_unknown_host_is_not_trusted_on_first_use(self):
        self.secret("git", identity=self.read("identity"), password=CANARY,
                    known_hosts=f"git.example.org {self.host}\n")
        url = f"ssh://git@127.0.0.1:{self.port}{self.repository.bare}"
        daemon = self.follow(url, "  secret: git\n")
        said = self.wait_for_reason(daemon, "HostKeyMismatch")
        self.assertIn("not in known_hosts", said["message"])


class Selection(Case):
    """What of a repository is taken, and from whom."""

    def test_one_repository_serves_two_machines(self):
        hosts = "  annotations: {{sync.moored.dev/hosts: \"{}\"}}\n"
        for name, wanted in (("a", "one"), ("b", "two,!one"), ("all", "*")):
            self.repository.write(f"{name}.yaml", CONFIG_MAP.format(name=name, value="x").replace(
                "metadata:\n", "metadata:\n" + hosts.format(wanted)))
        # The same object, once for each.
        for machine in ("one", "two"):
            self.repository.write(f"own-{machine}.yaml", CONFIG_MAP.format(
                name="own", value=machine).replace("metadata:\n",
                                                   "metadata:\n" + hosts.format(machine)))
        self.repository.push("first")
        one = self.world.daemon("one", "--git", self.repository.url).start()
        two = self.world.daemon("two", "--git", self.repository.url).start()
        for daemon, names in ((one, {"a", "all", "own"}), (two, {"b", "all", "own"})):
            self.wait_for_value(daemon, "own", daemon.name)
            self.assertEqual({row["metadata"]["name"] for row in daemon.get(
                "configmaps", "-n", "default")["items"]}, names)

    def test_what_is_ignored_is_not_read(self):
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        self.repository.write("ci/broken.yaml", "kind: [\n")
        self.repository.write("ci/keep.yaml", CONFIG_MAP.format(name="keep", value="one"))
        self.repository.push("first")
        config = self.configure(f"source:\n  url: {self.repository.url}\n"
                                "  ignore: |\n    ci/*\n    !ci/keep.yaml\n")
        daemon = self.world.daemon("node", "--config", config).start()
        self.wait_for_value(daemon, "a", "one")
        self.wait_for_value(daemon, "keep", "one")

    def test_a_source_declares_what_it_may(self):
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        self.repository.write("b.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\n")
        self.repository.push("first")
        config = self.configure("sources:\n  rights:\n    moored-system/default:\n"
                                "      namespaces: [default]\n      kinds: [ConfigMap]\n")
        daemon = self.world.daemon("node", "--config", config, "--git",
                                   self.repository.url).start()
        said = eventually("the commit to be refused", lambda: [
            row for row in daemon.get("kustomization", "default", "-n", "moored-system")["status"][
                "conditions"] if row["reason"] == "Forbidden"])
        self.assertIn("b.yaml:1", said[0]["message"])
        self.repository.remove("b.yaml")
        self.repository.push("second")
        self.wait_for_value(daemon, "a", "one")

    def test_each_source_has_rights_of_its_own(self):
        """Two that are named and one that is not; each may do what the others may not."""
        kinds = {"shop": "ConfigMap", "bank": "Secret", "other": "ServiceAccount"}
        rights = {"moored-system/default": "[GitRepository, Kustomization]",
                  "default/shop": "[ConfigMap]", "default/bank": "[Secret]",
                  "'*'": "[ServiceAccount]"}
        config = self.configure("sources:\n  allowLocal: true\n  rights:\n" + "".join(
            f"    {source}:\n      namespaces: [default, moored-system]\n      kinds: {kinds_of}\n"
            for source, kinds_of in rights.items()))
        sources = {name: harness.Repository(self.world, name) for name in kinds}
        for name, source in sources.items():
            source.write("own.yaml", self.declare(kinds[name], name))
            source.push("first")
            self.repository.write(f"{name}.yaml", SOURCE.format(name=name, url=source.url))
        self.repository.push("sources")
        daemon = self.world.daemon("node", "--config", config, "--git",
                                   self.repository.url).start()
        for name, kind in kinds.items():
            eventually(f"{kind} {name}", lambda: daemon.get(kind.lower(), name, "-n", "default"))
        # What one of them may is refused to the next one, and to it alone.
        names = list(kinds)
        for name, neighbour in zip(names, names[1:] + names[:1]):
            sources[name].write("foreign.yaml", self.declare(kinds[neighbour], f"from-{name}"))
            sources[name].push("second")
            said = eventually(f"{name} to be refused", lambda: [
                row for row in daemon.get("kustomization", name, "-n", "default")["status"][
                    "conditions"] if row["type"] == "Ready" and row["reason"] == "Forbidden"])
            self.assertIn("foreign.yaml:1", said[0]["message"])
            self.assertIn(kinds[neighbour], said[0]["message"])
            sources[name].remove("foreign.yaml")
            sources[name].write("later.yaml", self.declare(kinds[name], f"later-{name}"))
            sources[name].push("third")
            eventually(f"{name} to go on", lambda: daemon.get(
                kinds[name].lower(), f"later-{name}", "-n", "default"))

    @staticmethod
    def declare(kind, name):
        return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: default}}\n"

    def test_history_that_is_rewritten(self):
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="one"))
        first = self.repository.push("first")
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="two"))
        second = self.repository.push("second")
        strict = self.world.daemon("strict", "--git", self.repository.url, "--config",
                                   self.configure("sources:\n  history: fast-forward\n")).start()
        usual = self.world.daemon("usual", "--git", self.repository.url).start()
        for daemon in (strict, usual):
            self.wait_for_value(daemon, "a", "two")
        self.repository.git("reset", "-q", "--hard", first)
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="three"))
        self.repository.push("other")
        self.wait_for_value(usual, "a", "three")
        self.assertIn("HistoryRewritten", usual.kubectl("get", "events", "-A").stdout)
        self.assertIn("HistoryRewritten from",
                      usual.ctl("history", "gitrepository/moored-system/default").stdout)
        refused = eventually("the source to refuse", lambda: [
            row for row in strict.get("gitrepository", "default", "-n", "moored-system")["status"][
                "conditions"] if row["type"] == "Stalled"])
        self.assertIn("HistoryRewritten: ", refused[0]["message"])
        self.assertIn(second, refused[0]["message"])
        self.wait_for_value(strict, "a", "two")
        # Back on the old history it goes on by itself.
        self.repository.git("reset", "-q", "--hard", second)
        self.repository.write("a.yaml", CONFIG_MAP.format(name="a", value="four"))
        self.repository.push("third")
        strict.sync()
        self.wait_for_value(strict, "a", "four")


if __name__ == "__main__":
    unittest.main()
