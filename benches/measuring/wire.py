"""Requests on raw kept-alive sockets; shares no code with the proxy."""

import re
import socket

TIMEOUT = 20

# What the libraries of legacy applications send. Every proxy that is measured
# gets the same fields.
FIELDS = {
    "User-Agent": "legacy/1.0",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Authorization": "Bearer of-the-caller",
    "X-Request-Id": "0b1f8a52-0001",
}


def request(port, target, body=None):
    """The bytes of a GET, or of a POST with a JSON body."""
    fields = dict(FIELDS)
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (head + "\r\n").encode() + (body or b"")


class Connection:
    """One connection of a caller."""

    def __init__(self, port, timeout=TIMEOUT):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message):
        self.socket.sendall(message)

    def answer(self):
        """Status and body. Only answers with a Content-Length are understood."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, body = received.split(b"\r\n\r\n", 1)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is None:
            raise OSError(f"an answer without a length: {head!r}")
        while len(body) < int(length[1]):
            body += self._more()
        return int(head.split(b" ", 2)[1]), body

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise OSError("the connection was closed")
        return piece

    def close(self):
        self.socket.close()


def once(port, target, timeout=TIMEOUT):
    """Status and body of one GET on a connection of its own."""
    connection = Connection(port, timeout)
    try:
        connection.send(request(port, target))
        return connection.answer()
    finally:
        connection.close()


def in_step(port, message, requests, connections):
    """`requests` answers with status 200, the connections sending all together
    and waiting for all: as many are in flight each time, so that two runs do
    the same work."""
    callers = [Connection(port) for _ in range(connections)]
    for _ in range(requests // connections):
        for caller in callers:
            caller.send(message)
        for caller in callers:
            status, body = caller.answer()
            if status != 200:
                raise OSError(f"status {status}: {body[:200]!r}")
    for caller in callers:
        caller.close()
