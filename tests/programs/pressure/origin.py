#!/usr/bin/env python3
"""A server of large bodies, in DQE's place: GET answers as many bytes as the
query says (?size=N), POST takes a body, slow to begin, and answers its size."""

import re
import socket
import threading
import time

PIECE = b"<" * 65536


def serve(connection):
    buffered = b""
    while True:
        while b"\r\n\r\n" not in buffered:
            piece = connection.recv(65536)
            if not piece:
                return
            buffered += piece
        head, _, buffered = buffered.partition(b"\r\n\r\n")
        size = re.search(rb"[?&]size=(\d+)", head.split(b"\r\n")[0])
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            time.sleep(2)
            left = int(length.group(1)) - len(buffered)
            buffered = b""
            while left > 0:
                piece = connection.recv(min(left, 1 << 20))
                if not piece:
                    return
                left -= len(piece)
        answer = f"<{length.group(1).decode() if length else ''}>".encode()
        size = int(size.group(1)) if size else len(answer)
        begun = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
        if size == len(answer):
            connection.sendall(begun + answer)
            continue
        connection.sendall(begun + PIECE[:size])
        for start in range(len(PIECE), size, len(PIECE)):
            connection.sendall(PIECE[: size - start])


def run(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            serve(connection)
        except OSError:
            pass


listener = socket.create_server(("127.0.0.1", 0))
print("listens on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()
