"""Just enough HTTP/1.1 over a plain socket for measuring: no library in between
that buffers, retries or closes as it likes."""

import socket


def connect(address):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_head(sock):
    """The status, the announced length, and what came of the body with the head."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    fields = head.decode("latin-1").lower().split("\r\n")
    lengths = [int(field.split(":")[1]) for field in fields if field.startswith("content-length:")]
    return int(fields[0].split()[1]), lengths[0] if lengths else 0, body


def read_answer(sock):
    """The status and the size of the body, which is read to its end."""
    status, length, body = read_head(sock)
    size = len(body)
    while size < length:
        piece = sock.recv(1 << 20)
        if not piece:
            raise ConnectionError(f"cut after {size} of {length}")
        size += len(piece)
    return status, size


def get(sock, target):
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return read_answer(sock)
