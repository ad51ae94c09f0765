#!/usr/bin/env python3
"""A Git server over https for tests, in front of git http-backend; or a proxy with --proxy.

    git_server.py PORT SETTINGS.json

Settings: root (directory of the bare repositories), certificate and key (PEM files), client_ca,
basic ("user:password"), bearer, redirect ({path prefix: location}), proxy ("user:password"), log
(file that gets a line for each request). All but root may be absent.
"""
import base64
import http.server
import json
import os
import select
import socket
import ssl
import subprocess
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    settings = {}

    def log_message(self, form, *arguments):
        if "log" in self.settings:
            with open(self.settings["log"], "a") as log:
                log.write(f"{self.command} {self.path}\n")

    def refuse(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def is_known(self):
        given = self.headers.get("Authorization", "")
        if "basic" in self.settings:
            wanted = base64.b64encode(self.settings["basic"].encode()).decode()
            return given == f"Basic {wanted}"
        if "bearer" in self.settings:
            return given == f"Bearer {self.settings['bearer']}"
        return not given

    def answer(self):
        if not self.is_known():
            return self.refuse(401, WWW_Authenticate='Basic realm="test"')
        for prefix, location in self.settings.get("redirect", {}).items():
            if self.path.startswith(prefix):
                return self.refuse(302, Location=location + self.path[len(prefix):])
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.settings["root"],
            "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        done = subprocess.run(["git", "http-backend"], input=body, env=environment,
                              capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status = 200
        headers = []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def do_CONNECT(self):
        wanted = base64.b64encode(self.settings.get("proxy", "").encode()).decode()
        if self.headers.get("Proxy-Authorization", "") != f"Basic {wanted}":
            return self.refuse(407, Proxy_Authenticate='Basic realm="test"')
        host, _, port = self.path.rpartition(":")
        there = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        ends = {self.connection: there, there: self.connection}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                content = end.recv(65536)
                if not content:
                    there.close()
                    self.close_connection = True
                    return
                ends[end].sendall(content)


def main():
    Handler.settings = json.load(open(sys.argv[2]))
    server = http.server.ThreadingHTTPServer(
        (Handler.settings.get("address", "127.0.0.1"), int(sys.argv[1])), Handler)
    if "certificate" in Handler.settings:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Handler.settings["certificate"], Handler.settings["key"])
        if "client_ca" in Handler.settings:
            context.load_verify_locations(Handler.settings["client_ca"])
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
