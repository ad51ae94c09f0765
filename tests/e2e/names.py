"""A name server and an authority for names of a test, where this machine's programs look for both."""
import ipaddress
import pathlib
import sys
import unittest

import harness
from harness import eventually

# An address that is neither of loopback nor of the network that the world's pods use.
ADDRESS = "10.77.0.10"

# Answers A for every name with one address, and that there is none of any other type.
CODE = """
import socket, struct, sys
server, address = sys.argv[1], sys.argv[2]
family = socket.AF_INET6 if ":" in server else socket.AF_INET
link = socket.socket(family, socket.SOCK_DGRAM)
link.bind((server, 53))
while True:
    asked, peer = link.recvfrom(4096)
    end = asked.index(0, 12) + 5
    question, kind = asked[12:end], struct.unpack(">H", asked[end - 4:end - 2])[0]
    answer = b""
    if kind == 1:
        answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
    head = asked[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if answer else 0, 0, 0)
    link.sendto(head + question + answer, peer)
"""


def name_server():
    """The first server of this machine's resolver, which in a namespace of its own nobody is."""
    with open("/etc/resolv.conf", encoding="utf-8") as text:
        for line in text:
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                return words[1].split("%")[0]
    raise unittest.SkipTest("/etc/resolv.conf names no server to stand in for")


def serve(world):
    """Every name leads to ADDRESS from here on, for what runs in the world's namespace."""
    server = name_server()
    for address in {server, ADDRESS}:
        if not ipaddress.ip_address(address).is_loopback:
            harness.run(*world.inside("ip", "address", "add", address, "dev", "lo"))
    child = world.start(sys.executable, "-c", CODE, server, ADDRESS)

    def answers():
        if child.poll() is not None:
            raise harness.Failed("the name server did not start")
        return ADDRESS in harness.run(
            *world.inside("getent", "ahostsv4", "registry.example"), check=False).stdout
    eventually("names to be answered", answers, 20)


class Authority:
    """A certificate authority of its own, and what it signs, as files below a directory."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.certificate = self.directory / f"{name}.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj",
                      f"/CN={name}", "-days", "2")

    def _openssl(self, *arguments):
        harness.run("openssl", *arguments, cwd=self.directory)

    def sign(self, leaf, extension):
        """(certificate, key) of a new leaf with an extension such as subjectAltName=DNS:a.example."""
        at = self.directory / f"{leaf}.ext"
        at.write_text(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr", "-subj", f"/CN={leaf}")
        self._openssl("x509", "-req", "-in", f"{leaf}.csr", "-CA", f"{self.name}.crt", "-CAkey",
                      f"{self.name}.key", "-CAcreateserial", "-days", "2", "-extfile", at, "-out",
                      f"{leaf}.crt")
        return self.directory / f"{leaf}.crt", self.directory / f"{leaf}.key"
