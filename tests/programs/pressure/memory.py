#!/usr/bin/env python3
"""The memory of the proxy PID with 5 000 idle connections, then with 100 MiB on
their way up to a server and 100 MiB down to a caller that stand still first, and
then with 200 requests that stand still for good, half of them in each direction.

memory.py ADDRESS PID

Fails when an idle connection takes more than 8 KiB, the bodies more than 4 MiB, or
a request that stands still more than 256 KiB.
"""

import sys
import threading
import time

from process import forget_peak, memory_kib
from wire import connect, get, read_answer, read_head

address, pid = sys.argv[1], sys.argv[2]
IDLE = 5000
SIZE = 100 << 20
MOST_OF_IDLE_KIB = 8
MOST_OF_BODIES_KIB = 4096
STALLED = 200
MOST_OF_STALLED_KIB = 256


def down(stall):
    """Takes a body, standing still after its beginning."""
    with connect(address) as sock:
        sock.sendall(f"GET /TEL/?size={SIZE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, length, body = read_head(sock)
        time.sleep(stall)
        size = len(body)
        while size < length:
            piece = sock.recv(1 << 20)
            assert piece, f"cut after {size}"
            size += len(piece)
        assert (status, size) == (200, SIZE), (status, size)


def up():
    """Sends a body to a server that is slow to begin."""
    with connect(address) as sock:
        fields = f"Content-Type: application/json\r\nContent-Length: {SIZE}"
        sock.sendall(f"POST /TEL/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode())
        piece = b"a" * (1 << 20)
        for _ in range(SIZE >> 20):
            sock.sendall(piece)
        status, size = read_answer(sock)
        assert (status, size) == (200, len(str(SIZE)) + 2), (status, size)


def checked(work, problems):
    def run():
        try:
            work()
        except Exception as problem:
            problems.append(repr(problem))

    return threading.Thread(target=run)


with connect(address) as sock:
    for _ in range(100):
        assert get(sock, "/TEL/?size=20")[0] == 200
empty = memory_kib(pid)

# One half has made a call, the other has said nothing yet.
idle = []
for number in range(IDLE):
    sock = connect(address)
    if number % 2:
        assert get(sock, "/TEL/?size=20")[0] == 200
    idle.append(sock)
# What an idle connection does not need is given back within 10 s.
deadline = time.monotonic() + 12
full = memory_kib(pid)
while time.monotonic() < deadline and full - empty > IDLE:
    time.sleep(0.5)
    full = min(full, memory_kib(pid))
of_one = (full - empty) / IDLE

forget_peak(pid)
before = memory_kib(pid)
problems = []
work = [checked(up, problems), checked(lambda: down(3), problems)]
for thread in work:
    thread.start()
for thread in work:
    thread.join(60)
growth = memory_kib(pid, "VmHWM") - before

# Down: nobody reads. Up: the server takes what it is sent late, and the caller
# keeps the end of it.
before = memory_kib(pid)
stalled = []
for number in range(STALLED):
    sock = connect(address)
    if number % 2:
        sock.sendall(b"GET /TEL/?size=20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    else:
        fields = "Content-Type: application/json\r\nContent-Length: 3000000"
        sock.sendall(f"POST /TEL/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n".encode())
        sock.setblocking(False)
        try:
            while sock.send(b"a" * 65536):
                pass
        except BlockingIOError:
            pass
    stalled.append(sock)
time.sleep(3)
of_stalled = (memory_kib(pid) - before) / STALLED

for sock in stalled:
    sock.close()
for sock in idle[1:100:2]:
    assert get(sock, "/TEL/?size=20")[0] == 200, "an idle connection is no longer served"

print(
    f"{empty} KiB without callers, {of_one:.1f} KiB for each of {IDLE} idle connections, "
    f"{growth} KiB more at the peak of 100 MiB each way, "
    f"{of_stalled:.0f} KiB for each of {STALLED} requests that stand still"
)
assert not problems and not any(thread.is_alive() for thread in work), problems
assert of_one <= MOST_OF_IDLE_KIB, "an idle connection is too large"
assert of_stalled <= MOST_OF_STALLED_KIB, "a request that stands still is too large"
assert growth < MOST_OF_BODIES_KIB, "bodies take too much"
