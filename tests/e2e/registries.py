"""Images made of nothing, the registries they are pushed to, and a server of tokens."""
import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time

from harness import Failed, eventually, run

PROGRAM = shutil.which("docker-registry")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURE = run("dpkg", "--print-architecture").stdout.strip()


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(content, media_type, **more):
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def make_layer(files, directories=()):
    """The tar of some files: {path: content or (content, mode)}; a link is a str."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in directories:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
                continue
            content, entry.mode = content if isinstance(content, tuple) else (content, 0o644)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def busybox_layer():
    """A root with busybox and its applets; the layer that all test images share."""
    with open("/bin/busybox", "rb") as program:
        files = {"bin/busybox": (program.read(), 0o755)}
    for applet in run("/bin/busybox", "--list").stdout.split():
        if applet != "busybox":
            files[f"bin/{applet}"] = "busybox"
    files["etc/passwd"] = b"root:x:0:0:root:/root:/bin/sh\n"
    files["etc/group"] = b"root:x:0:\n"
    return make_layer(files, ["bin", "etc", "tmp", "proc", "sys", "dev", "run", "var"])


class Image:
    """One image: plain layers lowest first, how each is packed, and its configuration."""

    def __init__(self, layers, packing="gzip", **process):
        self.packed, types = [], []
        for layer in layers:
            content, suffix = pack(layer, packing)
            self.packed.append(content)
            types.append(LAYER + suffix)
        self.config = json.dumps({
            "architecture": ARCHITECTURE, "os": "linux",
            "config": process, "rootfs": {
                "type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}).encode()
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(self.config, CONFIG),
            "layers": [descriptor(content, kind)
                       for content, kind in zip(self.packed, types)]}).encode()
        self.digest = digest_of(self.manifest)


def pack(layer, packing):
    if packing == "gzip":
        return gzip.compress(layer, 6, mtime=0), "+gzip"
    if packing == "zstd":
        packed = subprocess.run(["zstd", "-q", "-c"], input=layer, capture_output=True, check=True)
        return packed.stdout, "+zstd"
    return layer, ""


class Registry:
    """Debian's docker-registry in the world's namespace: on loopback, or under another address.

    tls: (certificate, key), which makes it speak TLS to whoever calls it by `name`.
    """

    def __init__(self, world, port=5000, auth="", logins=(), name="127.0.0.1", tls=None):
        self.world, self.port, self.logins = world, port, logins
        self.host = f"{name}:{port}"
        self.base = f"http://127.0.0.1:{port}"
        secure = ""
        if tls:
            self.base = f"https://127.0.0.1:{port}"
            self.logins = ("-k", *logins)
            secure = f"  tls: {{certificate: '{tls[0]}', key: '{tls[1]}'}}\n"
        self.directory = world.directory / f"registry-{port}"
        self.directory.mkdir()
        self.log = self.directory / "access.log"
        config = self.directory / "config.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {self.directory}/storage}}}}\n"
            f"http:\n  addr: '0.0.0.0:{port}'\n  host: '{self.base}'\n{secure}{auth}")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                world.inside(PROGRAM, "serve", config), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        world.children.append(self.process)
        eventually("the registry to listen", self._listening, 30)

    def _listening(self):
        if self.process.poll() is not None:
            raise Failed(f"docker-registry exited {self.process.returncode}:\n"
                         f"{self.log.read_text()[-2000:]}")
        return self.status("/v2/") in (200, 401)

    def status(self, path):
        return int(self.curl("-k", "-o", "/dev/null", "-w", "%{http_code}", self.base + path))

    def curl(self, *arguments):
        return run(*self.world.inside("curl", "-sS", "--max-time", "20", *arguments),
                   check=False).stdout

    def push_blob(self, repository, content):
        head = self.curl("-D", "-", "-o", "/dev/null", *self.logins, "-X", "POST",
                         f"{self.base}/v2/{repository}/blobs/uploads/")
        location = re.search(r"(?im)^location: (\S+)", head)
        if not location:
            raise Failed(f"the registry takes no blob: {head}")
        source = self.directory / "upload"
        source.write_bytes(content)
        url = location.group(1)
        url += ("&" if "?" in url else "?") + "digest=" + digest_of(content)
        code = self.curl("-o", "/dev/null", "-w", "%{http_code}", *self.logins, "-X", "PUT",
                         "-H", "Content-Type: application/octet-stream",
                         "--data-binary", f"@{source}", url)
        if code != "201":
            raise Failed(f"the registry refuses a blob: {code}")

    def push_document(self, repository, reference, content, media_type):
        source = self.directory / "upload"
        source.write_bytes(content)
        answer = self.curl("-w", "%{http_code}", *self.logins, "-X", "PUT",
                           "-H", f"Content-Type: {media_type}", "--data-binary", f"@{source}",
                           f"{self.base}/v2/{repository}/manifests/{reference}")
        if not answer.endswith("201"):
            raise Failed(f"the registry refuses a manifest: {answer}")

    def push(self, name, image):
        repository, tag = name.rsplit(":", 1)
        for content in [*image.packed, image.config]:
            self.push_blob(repository, content)
        self.push_document(repository, tag, image.manifest, MANIFEST)
        self.clear_log()
        return f"{self.host}/{name}"

    def clear_log(self):
        """What comes after this is what the daemon asked for."""
        self.mark = self.log.stat().st_size

    def requests(self, part=""):
        """Lines of the access log since the mark, such as "GET /v2/web/manifests/1 200"."""
        with open(self.log, "rb") as log:
            log.seek(self.mark)
            text = log.read().decode(errors="replace")
        found = re.findall(r'"(GET|HEAD) (/v2/\S*) HTTP/[12]\.[01]" (\d+)', text)
        return [f"{verb} {path} {code}" for verb, path, code in found if part in path]


def docker_config(host, user, password):
    packed = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": packed}}})


def pull_secret(name, host, user, password):
    return json.dumps({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name, "namespace": "shop"},
        "stringData": {".dockerconfigjson": docker_config(host, user, password)}})


def make_passwords(directory, **users):
    """A file of htpasswd for the registry."""
    path = directory / "htpasswd"
    path.touch()
    for user, password in users.items():
        run("htpasswd", "-Bb", path, user, password)
    return path


def bad_server(world, cases, mode, port, *arguments):
    child = world.start("python3", cases / "_lib/badserver.py", mode, port, *arguments)
    eventually(f"{mode} to listen", lambda: child.poll() is None and run(
        *world.inside("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"), check=False
    ).returncode == 0, 20)


class TokenServer:
    """Gives tokens for one user, signed by its own key, on another port than the registry."""

    CODE = """
import base64, http.server, json, sys
port, want, token, log = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(log, "a") as out:
            out.write(self.path + "\\n")
        basic = "Basic " + base64.b64encode(want.encode()).decode()
        good = self.headers.get("Authorization") == basic
        body = json.dumps({"token": token} if good else {"details": "no"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
http.server.HTTPServer(("127.0.0.1", port), Server).serve_forever()
"""

    def __init__(self, world, user, password, port=5001):
        self.world, self.url = world, f"http://127.0.0.1:{port}"
        self.key = world.directory / "token.key"
        self.certificate = world.directory / "token.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
            "/CN=tokens", "-keyout", self.key, "-out", self.certificate)
        self.token = self.make_token()
        self.log = world.directory / "tokens.log"
        self.log.touch()
        world.start("python3", "-c", self.CODE, port, f"{user}:{password}", self.token, self.log)

    def make_token(self):
        """A JWT for every repository that a test uses; its certificate is in its head."""
        pack = lambda content: base64.urlsafe_b64encode(content).rstrip(b"=").decode()
        body = "".join(self.certificate.read_text().splitlines()[1:-1])
        now = int(time.time())
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [body]},
                 {"iss": "tokens.test", "sub": "ada", "aud": "registry.test", "exp": now + 900,
                  "nbf": now - 60, "iat": now, "jti": "1", "access": [
                      {"type": "repository", "name": "team/web", "actions": ["pull", "push"]}]}]
        signed = ".".join(pack(json.dumps(part).encode()) for part in parts)
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key],
                              input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{pack(made.stdout)}"

    def registry_configuration(self):
        return (f"auth: {{token: {{realm: '{self.url}/token', service: registry.test, "
                f"issuer: tokens.test, rootcertbundle: {self.certificate}}}}}\n")

    def seen(self):
        return self.log.read_text().splitlines()
