#!/usr/bin/env python3
"""Speaks raw HTTP: bytes go out as they are given, answers are told apart strictly.

    http_wire.py HOST PORT < conversations.json

Each conversation is {"send": TEXT, "answers": N or null}: the text in latin-1 goes out on a
connection of its own; N answers are read, or all up to the end of the connection. Prints a list of
{"answers": [{"status", "head", "body"}], "closed"} in the same order.
"""
import json
import socket
import sys

PATIENCE = 25.0  # above the longest timer of the server that a conversation waits for


class Ended(Exception):
    """The connection ended where more was to come."""


class Reader:
    def __init__(self, link):
        self.link = link
        self.buffer = b""

    def more(self):
        try:
            piece = self.link.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Ended
        self.buffer += piece

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        part, _, self.buffer = self.buffer.partition(mark)
        return part

    def exactly(self, size):
        while len(self.buffer) < size:
            self.more()
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def chunks(self):
        body = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            body += self.exactly(size)
            self.exactly(2)
            if size == 0:
                return body

    def answer(self):
        head = self.until(b"\r\n\r\n").decode("latin-1")
        headers = {}
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.chunks() if "transfer-encoding" in headers else self.exactly(
            int(headers.get("content-length", 0)))
        return {"status": int(head.split(" ")[1]), "head": head + "\r\n",
                "body": body.decode("utf-8", "replace")}


def talk(host, port, conversation):
    answers, closed = [], False
    with socket.create_connection((host, port), timeout=PATIENCE) as link:
        reader = Reader(link)
        try:
            link.sendall(conversation["send"].encode("latin-1"))
        except OSError:
            pass  # closed while we spoke: what it said is still to be read
        try:
            while conversation["answers"] is None or len(answers) < conversation["answers"]:
                answers.append(reader.answer())
        except Ended:
            closed = True
        except TimeoutError:
            pass
    return {"answers": answers, "closed": closed}


if __name__ == "__main__":
    json.dump([talk(sys.argv[1], int(sys.argv[2]), one) for one in json.load(sys.stdin)], sys.stdout)
