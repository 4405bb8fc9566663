#!/usr/bin/env python3
"""Callers that read nothing of large answers, against the memory limit of the
proxy PID: from the limit on they are refused, the memory stays near it however
often they come back, and others go on being served.

memory_limit.py ADDRESS PID

The proxy's listener.max_memory is 32 MiB.
"""

import sys
import time

from process import forget_peak, memory_kib
from wire import connect, get, read_head

address, pid = sys.argv[1], sys.argv[2]
LIMIT = 32 * 1024
CALLERS = 1000
ROUNDS = 3
# Callers refused in a row, 10 ms apart, until nobody is expected to be let in.
IN_VAIN = 64
MOST_CALLERS = 4000
# What those let in still take, and what nobody takes into account.
MOST_OVER = 1.25
# (32 MiB - 16 MiB) / 256 KiB: as long as it is short.
LET_IN_WHEN_SHORT = 64


def stall():
    """A caller that reads nothing of its answer but the head."""
    sock = connect(address)
    sock.sendall(b"GET /TEL/?size=20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock, read_head(sock)[0]


forget_peak(pid)
served = []
for _ in range(ROUNDS):
    stalled, statuses = [], []
    for _ in range(CALLERS):
        sock, status = stall()
        statuses.append(status)
        stalled.append(sock)
    assert set(statuses) == {200, 503}, set(statuses)
    served.append(statuses.count(200))
    # Up to the limit there is room for some more, looked for ten times a second.
    refused = 0
    while refused < IN_VAIN:
        assert len(stalled) < MOST_CALLERS, "they are let in without end"
        sock, status = stall()
        stalled.append(sock)
        refused = 0 if status == 200 else refused + 1
        time.sleep(0.01)
    # Nobody has left since: who comes now is one too many.
    late = [connect(address) for _ in range(16)]
    for sock in late:
        sock.sendall(b"GET /TEL/?size=20 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {read_head(sock)[0] for sock in late} == {503}, "more are let in while memory is short"
    stalled += late
    for sock in stalled:
        sock.close()
    time.sleep(0.5)
    callers = [connect(address) for _ in range(48)]
    for sock in callers:
        sock.sendall(b"GET /TEL/?size=20 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {read_head(sock)[0] for sock in callers} == {200}, "others are no longer served"
peak = memory_kib(pid, "VmHWM")
print(f"limit of {LIMIT} KiB: of {CALLERS} callers that read nothing {served} let in, {peak} KiB at the peak")
assert peak <= LIMIT * MOST_OVER, "the limit is not kept"
assert min(served) >= LET_IN_WHEN_SHORT, "too few are let in"
