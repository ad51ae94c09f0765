"""The API over the wire and by stock clients: what it refuses, what it counts, what it answers."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness

HERE = pathlib.Path(__file__).resolve().parent
HOST = "Host: 127.0.0.1\r\n"
# Debian 12's own client, where it lies beside a newer one.
OLD_KUBECTL = os.environ.get("MOORED_OLD_KUBECTL", "/opt/k120/usr/bin/kubectl")
OBJECTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {text: first}
---
apiVersion: v1
kind: Secret
metadata: {name: door, namespace: shop}
stringData: {key: canary-of-the-door}
"""


def request(line, *headers, body=""):
    """One request with a good Host unless a header says otherwise."""
    lines = "".join(header + "\r\n" for header in headers)
    host = "" if any(header.lower().startswith("host") for header in headers) else HOST
    return f"{line} HTTP/1.1\r\n{host}{lines}\r\n{body}"


GET = "GET /version"
SMUGGLED = request("GET /api/v1/secrets")
# What must be refused with one answer and a closed connection: name, bytes, statuses.
FRAMING = [
    ("length and coding",
     request("POST /api", "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n")
     + SMUGGLED, {400}),
    ("two lengths", request("POST /api", "Content-Length: 0", "Content-Length: 5") + SMUGGLED, {400}),
    ("a list of lengths", request("POST /api", "Content-Length: 5, 5", body="hello"), {400}),
    *[(f"length {value!r}", request("POST /api", f"Content-Length: {value}", body="hello"), {400})
      for value in ("0x5", "+5", "-1", "5 5", "", "99999999999999999999999", "5.0")],
    *[(f"coding {header!r}", request("POST /api", header, body="0\r\n\r\n") + SMUGGLED, {400, 501})
      for header in ("Transfer-Encoding: xchunked", "Transfer-Encoding : chunked",
                     "Transfer-Encoding: chunked, identity", "Transfer-Encoding:\x0bchunked",
                     "transfer-encoding: CHUNKED")],
    *[(f"chunk size {size!r}",
       request("POST /api", "Transfer-Encoding: chunked", body=f"{size}\r\nhello\r\n0\r\n\r\n"),
       {400, 501}) for size in ("-1", "5;x=y", "fffffffffffffffff", "five")],
    ("a folded header", request(GET, "X-A: b\r\n c"), {400}),
    ("a blank before the colon", request(GET, "X-A : b"), {400}),
    ("a bare line feed", request(GET).replace("\r\n", "\n"), {400}),
    ("a bare return", request(GET, "X-A: b\rX-C: d"), {400}),
    ("a control character in a name", request(GET, "X\x01A: b"), {400}),
    ("a NUL in a value", request(GET, "X-A: b\0c"), {400}),
    ("two blanks", "GET  /version HTTP/1.1\r\n" + HOST + "\r\n", {400}),
    ("no version", "GET /version\r\n\r\n", {400}),
    ("another version", "GET /version HTTP/9.9\r\n" + HOST + "\r\n", {400, 505}),
    ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    ("a TLS hello", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", {400}),
    ("an absolute target", "GET http://evil.test/version HTTP/1.1\r\n" + HOST + "\r\n", {400, 421}),
    ("a NUL in the path", request("GET /version\0/x"), {400}),
    ("an encoded NUL", request("GET /version%00"), {400}),
]
LIMITS = [
    ("a long target", request("GET /" + "a" * 65536), {414}),
    ("a long header", request(GET, "X-A: " + "a" * 131072), {431}),
    ("many headers", request(GET, *(f"X-{n}: b" for n in range(2000))), {431}),
    ("many bytes of headers", request(GET, *(f"X-{n}: " + "b" * 4000 for n in range(20))), {431}),
    ("a body of a GET", request(GET, "Content-Length: 67108864"), {400, 413}),
    ("a body above the limit", request("POST /api", "Content-Length: 67108864"), {413}),
    ("expecting", request("POST /api", "Content-Length: 5", "Expect: 100-continue"), {417}),
]
STRANGERS = [
    ("another host", request(GET, "Host: evil.test"), {421}),
    ("a host that looks like loopback", request(GET, "Host: 127.0.0.1.evil.test"), {421}),
    ("no host", "GET /version HTTP/1.1\r\n\r\n", {400}),
    ("two hosts", request(GET, "Host: 127.0.0.1", "Host: evil.test"), {400}),
    ("an empty host", request(GET, "Host: "), {400, 421}),
    ("a page of another site", request(GET, "Origin: http://evil.test"), {403}),
    ("a page without an origin", request(GET, "Origin: null"), {403}),
    ("a cross-site image", request(GET, "Sec-Fetch-Site: cross-site"), {403}),
    ("a preflight", request("OPTIONS /api/v1/pods", "Origin: http://evil.test",
                            "Access-Control-Request-Method: GET"), {403}),
]
PATHS = ["/api/../../etc/passwd", "/api/%2e%2e/%2e%2e/etc/passwd", "/api/..;/version", "/./version",
         "/api%2fv1%2fpods", "/%252e%252e/version", "/api//v1/pods", "/api/v1/namespaces//secrets",
         "/api/v1/namespaces/shop/secrets/..%2f..", "/api/v1/pods/%zz", "/version/../metrics",
         "/api\\v1", "/api/v1/namespaces/shop/pods/x%0d%0aX-A:%20b/log"]
WRITES = [f"{method} {path}"
          for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")
          for path in ("/api/v1/namespaces/shop/configmaps", "/version", "/metrics", "/status",
                       "/api/v1/namespaces/shop/configmaps/settings",
                       "/apis/apps/v1/namespaces/shop/deployments/web/scale")]
QUERIES = [
    ("/api/v1/pods?labelSelector=%27%3B+DROP+TABLE+revision%3B--", {400}),
    ("/api/v1/pods?labelSelector=" + "a" * 4000 + "%3D" + "b" * 2000, {400}),
    ("/api/v1/pods?fieldSelector=spec.secret%3Dx", {400}),
    ("/api/v1/pods?limit=-1", {400}),
    ("/api/v1/pods?limit=1e9", {400}),
    ("/api/v1/pods?continue=../../../etc/passwd", {400, 410}),
    ("/api/v1/pods?watch=true&resourceVersion=abc", {400}),
    ("/api/v1/pods?watch=true&resourceVersion=-5", {400}),
    ("/api/v1/pods?watch=true&resourceVersion=999999999999", {504}),
    ("/api/v1/pods?watch=true&timeoutSeconds=100000000000000000000", {400}),
    ("/api/v1/namespaces/shop/pods/x/log?tailLines=-1", {400}),
    ("/api/v1/namespaces/shop/pods/x/log?sinceSeconds=99999999999999999999", {400}),
    ("/api/v1/namespaces/shop/pods/x/log?container=../../x", {400, 404}),
    ("/api/v1/pods?fieldSelector=%00", {400}),
]


class Served(unittest.TestCase):
    """One daemon for all cases of a class; every case leaves it well."""

    @classmethod
    def setUpClass(cls):
        cls.world = harness.World()
        cls.addClassCleanup(cls.world.close)
        repository = harness.Repository(cls.world)
        repository.write("app/objects.yaml", OBJECTS)
        repository.push("Start the shop")
        cls.daemon = cls.world.daemon("node", "--git", repository.url, "--path", "app").start()
        cls.daemon.sync()
        cls.pid = cls.daemon.process.pid

    def tearDown(self):
        self.assertIsNone(self.daemon.process.poll(), self.daemon.tail())
        self.assertEqual(self.get("/healthz")["body"], "ok")

    def talk(self, *conversations):
        """(bytes, number of answers or None for all) each; what came back."""
        asked = json.dumps([{"send": text, "answers": count} for text, count in conversations])
        return json.loads(harness.run(
            *self.world.inside("python3", HERE / "http_wire.py", "127.0.0.1", self.daemon.port),
            input=asked, timeout=120).stdout)

    def get(self, target, *headers):
        return self.talk((request("GET " + target, *headers), 1))[0]["answers"][0]

    def refused(self, rows):
        """Each row is answered once with one of its statuses, or not at all, and closed."""
        for (name, _, statuses), got in zip(rows, self.talk(*((row[1], None) for row in rows))):
            with self.subTest(name):
                self.assertTrue(got["closed"], got)
                self.assertLessEqual(len(got["answers"]), 1, got)
                for answer in got["answers"]:
                    self.assertIn(answer["status"], statuses, answer)
                    self.assertNotIn("access-control", answer["head"].lower())
                    self.assertNotIn("canary", answer["body"])


class Wire(Served):
    """Bytes that no library would send."""

    def test_ambiguous_framing_is_refused_and_closed(self):
        self.refused(FRAMING)

    def test_limits_are_answered_and_closed(self):
        self.refused(LIMITS)

    def test_other_hosts_and_sites_are_refused(self):
        self.refused(STRANGERS)

    def test_paths_have_one_form(self):
        rows = [(path, request("GET " + path, "Connection: close"), {400, 404}) for path in PATHS]
        self.refused(rows)

    def test_queries_are_judged_before_anything_is_read(self):
        rows = [(path, request("GET " + path, "Connection: close"), statuses)
                for path, statuses in QUERIES]
        self.refused(rows)
        for (path, _), got in zip(QUERIES, self.talk(*((row[1], None) for row in rows))):
            if got["answers"][0]["status"] != 431:
                self.assertEqual(json.loads(got["answers"][0]["body"])["kind"], "Status", path)

    def test_writes_are_refused_with_a_status_and_change_nothing(self):
        before = self.get("/api/v1/configmaps")["body"]
        rows = [(line, request(line, "Content-Length: 2", body="{}"), {400, 405, 501})
                for line in WRITES]
        self.refused(rows)
        for (line, _, _), got in zip(rows, self.talk(*((row[1], None) for row in rows))):
            for answer in got["answers"]:
                if answer["status"] == 405:
                    self.assertIn("\r\nAllow: GET, HEAD\r\n", answer["head"], line)
                    self.assertEqual(json.loads(answer["body"])["reason"], "MethodNotAllowed")
        self.assertEqual(self.get("/api/v1/configmaps")["body"], before)

    def test_a_method_is_what_the_request_line_says(self):
        got = self.talk(
            (request("GET /api/v1/namespaces/shop/configmaps/settings?_method=DELETE",
                     "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: PUT"), 1))
        self.assertEqual(got[0]["answers"][0]["status"], 200)
        self.assertEqual(self.get("/api/v1/namespaces/shop/configmaps/settings")["status"], 200)

    def test_pipelined_requests_are_answered_in_order(self):
        got = self.talk((request("GET /healthz") + request(GET) + request("GET /apis"), 3))[0]
        bodies = [answer["body"] for answer in got["answers"]]
        self.assertEqual(bodies[0], "ok")
        self.assertIn("gitVersion", bodies[1])
        self.assertEqual(json.loads(bodies[2])["kind"], "APIGroupList")

    def test_a_good_client_keeps_its_connection(self):
        got = self.talk((request("GET /healthz") + request(GET), 2))
        self.assertEqual([answer["status"] for answer in got[0]["answers"]], [200, 200])
        self.assertFalse(got[0]["closed"])

    def test_a_slow_header_is_cut_off(self):
        slow = self.talk(("GET /version HTTP/1.1\r\nHost: 127", None))
        self.assertEqual(slow, [{"answers": [], "closed": True}])

    def test_secrets_are_never_answered(self):
        for accept in ("application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "*/*",
                       "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"):
            for path in ("/api/v1/secrets", "/api/v1/namespaces/shop/secrets",
                         "/api/v1/secrets?watch=true&timeoutSeconds=1"):
                answer = self.get(path, "Accept: " + accept)
                self.assertIn(answer["status"], (200, 406), (path, accept))
                self.assertNotIn("canary", answer["body"])
                self.assertNotIn("Y2FuYXJ5", answer["body"])


# ---- metrics -------------------------------------------------------------------------------------

SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)*\})? (\S+)')


def read_metrics(text):
    """Values by series, after the rules of the format: HELP and TYPE first, each series once."""
    values, family, kind, families, buckets = {}, None, None, set(), {}
    assert text.endswith("\n"), text[-80:]
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family, kind = line.split(" ")[2], None
            assert len(line.split(" ", 3)) == 4, line
            assert family not in families, line
            families.add(family)
        elif line.startswith("# TYPE "):
            assert kind is None, line
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("counter", "gauge", "histogram"), line
            assert name.endswith("_total") == (kind == "counter"), line
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            base = re.sub("_(bucket|sum|count)$", "", match[1]) if kind == "histogram" else match[1]
            assert kind and base == family, line
            series = match[1] + (match[2] or "")
            assert series not in values, line
            values[series] = float(match[3])
            if match[1] == f"{family}_bucket":
                assert kind == "histogram", line
                labels, bound = re.fullmatch(r'\{(.*?),?le="([^"]+)",?\}', match[2]).groups()
                rising = buckets.setdefault((family, labels), [(float("-inf"), 0)])
                assert rising[-1][0] < float(bound) and rising[-1][1] <= values[series], line
                rising.append((float(bound), values[series]))
    for (name, labels), rising in buckets.items():
        count = values[f"{name}_count" + (f"{{{labels}}}" if labels else "")]
        assert rising[-1] == (float("inf"), count), (name, labels, rising)
    return values


class TheRules(unittest.TestCase):
    """The reader above says no to what Prometheus would not take."""

    GOOD = ("# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"x\\n\\\"\"} 1\n"
            "# HELP c_seconds C.\n# TYPE c_seconds histogram\nc_seconds_bucket{le=\"1\"} 1\n"
            "c_seconds_bucket{le=\"+Inf\"} 2\nc_seconds_sum 3\nc_seconds_count 2\n")
    BREACHES = (("} 1\n#", "} 1\na_total{b=\"x\\n\\\"\"} 1\n#"), ("\\n", "\\t"), ("\\\"", "\""),
                ("a_total", "a"), ("counter", "gauge"), ("# HELP a_total A.\n", ""),
                ("# TYPE a_total counter\n", ""), ("# TYPE c", "# TYPE c_seconds gauge\n# TYPE c"),
                ("# HELP c_seconds", "# HELP a_total"), ("le=\"1\"", "le=\"inf\""),
                ("1\"} 1", "1\"} 4"), ("Inf\"} 2", "Inf\"} 3"), ("c_seconds_count 2\n", ""),
                ("c_seconds_sum", "d_sum"), ("count 2\n", "count 2"), ("sum 3", "sum three"))

    def test_a_breach_of_any_rule_is_seen(self):
        self.assertEqual(read_metrics(self.GOOD)["c_seconds_count"], 2)
        for old, new in self.BREACHES:
            self.assertIn(old, self.GOOD)
            with self.subTest(old=old, new=new), self.assertRaises((AssertionError, KeyError,
                                                                    ValueError)):
                read_metrics(self.GOOD.replace(old, new, 1))


class Metrics(Served):
    """What a scraper sees."""

    def read(self):
        answer = self.get("/metrics")
        self.assertIn("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", answer["head"])
        return read_metrics(answer["body"])

    def test_the_text_is_what_prometheus_reads(self):
        text = self.get("/metrics")["body"]
        read_metrics(text)
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed; the rules were checked by this test alone")
        found = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                               capture_output=True, timeout=30, check=False)
        self.assertEqual((found.returncode, found.stdout + found.stderr), (0, ""))

    def test_state_process_and_requests_are_measured(self):
        before = self.read()
        self.assertEqual(before['moored_source_ready{source="moored-system/default"}'], 1)
        self.assertEqual(before['moored_unit_ready{unit="moored-system/default"}'], 1)
        self.assertEqual(before['moored_unit_objects{unit="moored-system/default"}'], 3)
        self.assertEqual(before['moored_drift_open{kind="process"}'], 0)
        self.assertEqual(before['moored_objects{group="",kind="Secret"}'], 1)
        self.assertGreater(before['process_resident_memory_bytes'], 1 << 20)
        self.assertGreater(before['process_open_fds'], 3)
        self.assertGreater(before['moored_store_file_bytes{file="database"}'], 0)
        series = 'moored_api_requests_total{method="GET",route="version",code="200"}'
        self.get("/version")
        self.get("/version", "Host: evil.test")
        after = self.read()
        self.assertEqual(after[series], before.get(series, 0) + 1)
        refused = 'moored_api_refused_requests_total{code="421"}'
        self.assertEqual(after[refused], before.get(refused, 0) + 1)
        self.assertGreaterEqual(after["process_cpu_seconds_total"],
                                before["process_cpu_seconds_total"])


class PushToReady(unittest.TestCase):
    """The histogram of revisions follows real pushes."""

    def test_a_push_is_counted_once_with_its_time(self):
        world = harness.World()
        self.addCleanup(world.close)
        repository = harness.Repository(world)
        repository.write("app/objects.yaml", OBJECTS)
        repository.push("Start")
        daemon = world.daemon("node", "--git", repository.url, "--path", "app").start()
        daemon.sync()

        def read():
            return read_metrics(world.http(f"http://127.0.0.1:{daemon.port}/metrics"))

        self.assertEqual(read()['moored_revisions_total{outcome="ready"}'], 1)
        repository.replace("app/objects.yaml", "first", "second")
        repository.push("Say something else")
        daemon.sync()
        repository.write("app/bad.yaml", "apiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n")
        repository.push("Break it")
        daemon.ctl("sync", "--wait", check=False)
        values = read()
        self.assertEqual(values['moored_revisions_total{outcome="ready"}'], 2)
        self.assertEqual(values['moored_revisions_total{outcome="refused"}'], 1)
        self.assertEqual(values["moored_revision_ready_seconds_count"], 2)
        self.assertGreater(values["moored_revision_ready_seconds_sum"], 0)
        self.assertEqual(values['moored_unit_behind{unit="moored-system/default"}'], 1)


class Secured(unittest.TestCase):
    """TLS and tokens: what every other address than loopback asks for."""

    def setUp(self):
        self.world = harness.World()
        self.addCleanup(self.world.close)
        self.keys = self.world.directory / "keys"
        self.keys.mkdir()
        self.repository = harness.Repository(self.world)
        self.repository.write("app/objects.yaml", OBJECTS)
        self.repository.push("Start the shop")
        self.make_certificate("tls", "subjectAltName=DNS:node.test,IP:127.0.0.1")
        self.tokens = self.keys / "tokens"

    def make_certificate(self, name, *extensions):
        harness.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", self.keys / f"{name}.key", "-out",
                    self.keys / f"{name}.crt", *(part for one in extensions
                                                 for part in ("-addext", one)))
        (self.keys / f"{name}.key").chmod(0o600)

    def start(self, *more):
        flags = ["--tls-cert", self.keys / "tls.crt", "--tls-key", self.keys / "tls.key", *more]
        daemon = self.world.daemon("node", "--git", self.repository.url, "--path", "app", *flags)
        daemon.arguments[daemon.arguments.index("127.0.0.1:0")] = "0.0.0.0:0"
        return daemon.start()

    def draw(self, name, *more):
        return harness.run(harness.BIN / "moorctl", "token", name, "--file", self.tokens,
                           *more).stdout.strip()

    def curl(self, daemon, *arguments, path="/api/v1/configmaps", host="127.0.0.1"):
        return harness.run(*self.world.inside(
            "curl", "-sS", "--max-time", "10", "--cacert", self.keys / "tls.crt", "-o", "/dev/null",
            "-w", "%{http_code}", "--resolve", f"node.test:{daemon.port}:127.0.0.1", *arguments,
            f"https://{host}:{daemon.port}{path}"), check=False)

    def bearer(self, token):
        return ["-H", f"Authorization: Bearer {token}"]

    def test_other_addresses_need_certificate_and_tokens(self):
        got = harness.run(*self.world.inside(
            harness.BIN / "moored", "run", "--listen", "0.0.0.0:0", "--state-dir",
            self.world.directory / "s", "--run-dir", self.world.directory / "r", "--log-dir",
            self.world.directory / "l"), check=False)
        self.assertNotEqual(got.returncode, 0)
        for word in ("--listen", "--tls-cert", "--tls-key", "--token-file"):
            self.assertIn(word, got.stderr)
        self.assertFalse((self.world.directory / "s").exists())

    def test_only_token_holders_read_and_a_removed_line_ends_that(self):
        ada, bob = self.draw("ada"), self.draw("bob")
        self.assertNotIn(ada, self.tokens.read_text())
        daemon = self.start("--token-file", self.tokens)
        daemon.sync()
        self.assertEqual(self.curl(daemon).stdout, "401")
        self.assertEqual(self.curl(daemon, *self.bearer("moored_guess")).stdout, "401")
        self.assertEqual(self.curl(daemon, path=f"/api/v1/pods?access_token={ada}").stdout, "401")
        self.assertEqual(self.curl(daemon, path="/metrics").stdout, "401")
        for token in (ada, bob):
            self.assertEqual(self.curl(daemon, *self.bearer(token)).stdout, "200")
        self.assertEqual(self.curl(daemon, *self.bearer(ada), host="node.test").stdout, "200")
        self.assertEqual(self.curl(daemon, *self.bearer(ada), "-H", "Host: evil.test").stdout, "421")
        plain = harness.run(*self.world.inside(
            "curl", "-sS", "--max-time", "10", f"http://127.0.0.1:{daemon.port}/version"),
            check=False)
        self.assertNotEqual(plain.returncode, 0)
        self.assertNotIn("gitVersion", plain.stdout)
        kept = [line for line in self.tokens.read_text().splitlines() if "bob" not in line]
        self.tokens.write_text("\n".join(kept) + "\n")
        harness.eventually("bob's token to end",
                           lambda: self.curl(daemon, *self.bearer(bob)).stdout == "401")
        self.assertEqual(self.curl(daemon, *self.bearer(ada)).stdout, "200")
        for token in (ada, bob):
            self.assertNotIn(token, daemon.tail(1000))

    def test_kubectl_and_moorctl_read_with_what_moorctl_prints(self):
        daemon = self.start("--token-file", self.seeded())
        daemon.sync()
        # Root's moorctl on the machine itself needs nothing more; it trusts this one certificate.
        self.assertIn("is ready", daemon.ctl("sync", "--wait").stdout)
        self.assertIn("moored-system/default", daemon.ctl("status").stdout)
        token = self.keys / "ada.token"
        token.write_text(self.ada + "\n")
        config = self.keys / "kubeconfig"
        config.write_text(daemon.ctl("kubeconfig", "--token-file", token).stdout)
        programs = [harness.NEW_KUBECTL]
        if os.access(OLD_KUBECTL, os.X_OK):
            programs.append(OLD_KUBECTL)
        for program in programs:
            got = harness.run(*self.world.inside(
                program, "--kubeconfig", config, "--cache-dir", self.keys / "cache",
                "-n", "shop", "get", "configmap", "settings", "-o", "name"))
            self.assertEqual(got.stdout, "configmap/settings\n")
        who = harness.run(*self.world.inside(
            harness.NEW_KUBECTL, "--kubeconfig", config, "--cache-dir", self.keys / "cache",
            "auth", "whoami", "-o", "json"),
            check=False)
        if who.returncode == 0:  # older clients have no such command
            self.assertEqual(json.loads(who.stdout)["status"]["userInfo"]["username"], "ada")
        nobody = harness.run(*self.world.inside(
            harness.BIN / "moorctl", "--server", f"https://127.0.0.1:{daemon.port}", "--ca-file",
            self.keys / "tls.crt", "status"), check=False)
        self.assertEqual(nobody.returncode, 1)
        self.assertIn("--token-file", nobody.stderr)
        somebody = harness.run(*self.world.inside(
            harness.BIN / "moorctl", "--server", f"https://127.0.0.1:{daemon.port}", "--ca-file",
            self.keys / "tls.crt", "--token-file", token, "status"))
        self.assertIn("moored-system/default", somebody.stdout)

    def seeded(self):
        self.ada = self.draw("ada")
        return self.tokens

    def test_a_client_certificate_is_enough_and_a_foreign_one_is_not(self):
        self.make_certificate("reader")
        self.make_certificate("stranger")
        daemon = self.start("--token-file", self.seeded(), "--client-ca", self.keys / "reader.crt")
        daemon.sync()

        def shown(name):
            return self.curl(daemon, "--cert", self.keys / f"{name}.crt", "--key",
                             self.keys / f"{name}.key")

        self.assertEqual(shown("reader").stdout, "200")
        self.assertNotEqual(shown("stranger").stdout, "200")
        self.assertEqual(self.curl(daemon).stdout, "401")
        self.assertEqual(self.curl(daemon, *self.bearer(self.ada)).stdout, "200")

    def test_a_renewed_certificate_is_served_without_a_restart(self):
        daemon = self.start("--token-file", self.seeded())
        old = (self.keys / "tls.crt").read_text()
        self.make_certificate("tls", "subjectAltName=IP:127.0.0.1")
        self.assertNotEqual((self.keys / "tls.crt").read_text(), old)
        harness.eventually("the new certificate",
                           lambda: self.curl(daemon, *self.bearer(self.ada)).stdout == "200")

    def test_keys_and_tokens_that_others_can_read_are_refused(self):
        self.seeded()
        for path in (self.keys / "tls.key", self.tokens):
            path.chmod(0o644)
            got = harness.run(*self.world.inside(
                harness.BIN / "moored", "run", "--listen", "0.0.0.0:0", "--tls-cert",
                self.keys / "tls.crt", "--tls-key", self.keys / "tls.key", "--token-file",
                self.tokens, "--state-dir", self.world.directory / "s", "--run-dir",
                self.world.directory / "r", "--log-dir", self.world.directory / "l"), check=False)
            path.chmod(0o600)
            self.assertNotEqual(got.returncode, 0)
            self.assertIn(str(path), got.stderr)
            self.assertIn("chmod 600", got.stderr)
            self.assertFalse((self.world.directory / "s").exists())


class Listening(unittest.TestCase):
    """The address of the API."""

    def test_a_port_in_use_names_the_flag(self):
        world = harness.World()
        self.addCleanup(world.close)
        repository = harness.Repository(world)
        repository.push("Nothing")
        daemon = world.daemon("node", "--git", repository.url).start()
        got = harness.run(*world.inside(
            harness.BIN / "moored", "run", "--listen", f"127.0.0.1:{daemon.port}", "--state-dir",
            world.directory / "s", "--run-dir", world.directory / "r", "--log-dir",
            world.directory / "l"), check=False)
        self.assertNotEqual(got.returncode, 0)
        self.assertIn("--listen", got.stderr)
        self.assertIn("in use", got.stderr)


# ---- stock clients -------------------------------------------------------------------------------


class Clients(Served):
    """kubectl, new and old."""

    def programs(self):
        yield "new", harness.NEW_KUBECTL
        if os.access(OLD_KUBECTL, os.X_OK):
            yield "old", OLD_KUBECTL

    def each(self):
        for name, program in self.programs():
            with self.subTest(name):
                yield program

    def test_old_client_is_there(self):
        if not os.access(OLD_KUBECTL, os.X_OK):
            self.skipTest(f"{OLD_KUBECTL} is not there: only one version of kubectl was tried")

    def kubectl(self, program, *arguments, check=True):
        return self.daemon.kubectl(*arguments, check=check, program=program)

    def test_can_i_read_and_not_write(self):
        for program in self.each():
            self.assertEqual(self.kubectl(program, "auth", "can-i", "list", "pods").stdout, "yes\n")
            no = self.kubectl(program, "auth", "can-i", "delete", "pods", check=False)
            self.assertEqual(no.returncode, 1)
            self.assertIn("read-only", no.stdout)
            rules = self.kubectl(program, "auth", "can-i", "--list").stdout
            self.assertRegex(rules, r"\*\.\*\s+\[\]\s+\[\]\s+\[get list watch\]")

    def test_writes_name_the_repository(self):
        for program in self.each():
            for arguments in (["delete", "configmap", "settings"],
                              ["label", "configmap", "settings", "a=b"],
                              ["create", "configmap", "other"]):
                got = self.kubectl(program, "-n", "shop", *arguments, check=False)
                self.assertEqual(got.returncode, 1, arguments)
                self.assertIn("moored is read-only: change git://", got.stderr)

    def test_top_shows_the_node(self):
        for program in self.each():
            shown = self.kubectl(program, "top", "node", "--no-headers").stdout.split()
            self.assertEqual(shown[0], "node")
            self.assertRegex(shown[1], r"^\d+m$")
            self.assertRegex(shown[3], r"^\d+Mi$")

    def test_the_node_is_alive(self):
        for program in self.each():
            text = self.kubectl(program, "describe", "node", "node").stdout
            self.assertRegex(text, r"Ready\s+True\s+\w{3}, \d\d \w{3} 20\d\d")
            self.assertNotIn("0001", text)
            self.assertRegex(text, r"AcquireTime:\s+\w{3}, ")

    def test_fields_are_explained(self):
        for program in self.each():
            text = self.kubectl(program, "explain", "deployment.spec.replicas").stdout
            self.assertIn("replicas", text)
            self.assertIn("<integer>", text)
            deep = self.kubectl(program, "explain", "pod.spec.containers.ports.hostPort",
                                check=False)
            self.assertEqual(deep.returncode, 0, deep.stderr)
            wrong = self.kubectl(program, "explain", "pod.spec.nonsense", check=False)
            self.assertNotEqual(wrong.returncode, 0)
            self.assertIn("nonsense", wrong.stderr)

    def test_diff_previews_a_push(self):
        changed = self.daemon.directory / "changed.yaml"
        changed.write_text(OBJECTS.replace("first", "second"))
        before = self.get("/api/v1/configmaps")["body"]
        got = self.kubectl(harness.NEW_KUBECTL, "diff", "--server-side", "-f", changed, check=False)
        self.assertEqual(got.returncode, 1, got.stderr)
        self.assertIn("-  text: first", got.stdout)
        self.assertIn("+  text: second", got.stdout)
        self.assertNotIn("canary", got.stdout)
        same = self.daemon.directory / "same.yaml"
        same.write_text(OBJECTS.split("---\n")[1])
        got = self.kubectl(harness.NEW_KUBECTL, "diff", "--server-side", "-f", same, check=False)
        self.assertEqual((got.returncode, got.stdout), (0, ""), got.stderr)
        plain = self.kubectl(harness.NEW_KUBECTL, "diff", "-f", changed, check=False)
        self.assertGreater(plain.returncode, 1)
        self.assertIn("moorctl plan", plain.stderr)
        self.assertEqual(self.get("/api/v1/configmaps")["body"], before)

    def test_large_lists_are_compressed(self):
        plain = self.get("/openapi/v3/api/v1")
        self.assertNotIn("Content-Encoding", plain["head"])
        packed = harness.run(*self.world.inside(
            "curl", "-sS", "--compressed", "-o", "/dev/null", "-w", "%{size_download}",
            f"http://127.0.0.1:{self.daemon.port}/openapi/v3/api/v1")).stdout
        if len(plain["body"]) >= 128 << 10:
            self.assertLess(int(packed), len(plain["body"]) // 2)
        else:
            self.assertEqual(int(packed), len(plain["body"]))

    def test_resources_are_discovered(self):
        for program in self.each():
            listed = self.kubectl(program, "api-resources", "--no-headers").stdout
            for name in ("pods", "deployments", "gitrepositories", "selfsubjectaccessreviews"):
                self.assertRegex(listed, rf"(?m)^{name} ")

