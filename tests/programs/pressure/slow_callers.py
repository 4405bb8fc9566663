#!/usr/bin/env python3
"""How long another caller waits while slowhttptest keeps 500 connections busy
with next to nothing, against how long it waits in quiet.

slow_callers.py PROXY-URL ADMIN-URL TARGET ROUNDS MODE …   with MODE one of -H -B -R -X

Each round is quiet for a second and under attack for another. Of all rounds the
best of each kind is compared, since what else the machine does only ever adds:
fails when under attack the median or the 90th percentile of a call is more than
twice that of quiet in every round. Where other programs want the processors a few
rounds tell of those: it goes on to five times as many, until what the proxy does
shows. The 99th is that of the machine then, so it is judged only with P99=judged.
"""

import os
import subprocess
import sys
import threading
import time
import urllib.request

from wire import connect, get

proxy, admin, target, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
address = proxy.removeprefix("http://")
COUNT = 500
MOST_TIMES = 5
MODES = {
    "-H": ("slow heads", ["-i", "5", "-x", "24"]),
    "-B": ("slow bodies", ["-i", "5", "-s", "8192", "-x", "10"]),
    "-R": ("many ranges", ["-a", "10", "-b", "3000", "-t", "HEAD"]),
    "-X": ("slow readers", ["-w", "256", "-y", "512", "-n", "5", "-z", "32", "-k", "3"]),
}
PERCENTILES = [("median", 50), ("p90", 90), ("p99", 99)]
JUDGED = {"median", "p90"} | ({"p99"} if os.environ.get("P99") == "judged" else set())


def metric(name):
    with urllib.request.urlopen(admin + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int([line for line in lines if line.startswith(name + " ")][0].split()[1])


def until(what, condition, limit=30):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


class Attack(threading.Thread):
    """slowhttptest, again and again where it ends by itself (-R)."""

    def __init__(self, mode):
        super().__init__()
        size = ["-c", str(COUNT), "-r", "500", "-l", "600", "-p", "3"]
        self.command = ["slowhttptest", *size, mode, *MODES[mode][1], "-u", proxy + target]
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            out = subprocess.DEVNULL
            with subprocess.Popen(self.command, stdout=out, stderr=out) as process:
                while process.poll() is None and not self.is_over.wait(0.02):
                    pass
                process.kill()

    def __enter__(self):
        opened = "dqe_proxy_caller_connections_opened_total"
        enough = metric(opened) + COUNT * 0.95
        self.start()
        until("the attack is under way", lambda: metric(opened) >= enough)
        time.sleep(0.3)

    def __exit__(self, *_):
        self.is_over.set()
        self.join()
        until("its connections are gone", lambda: metric("dqe_proxy_caller_connections") < 20)


def measure():
    """Microseconds that calls took at most: of half, nine tenths, 99 in a hundred."""
    taken = []
    end = time.monotonic() + 1
    with connect(address) as sock:
        while time.monotonic() < end:
            begun = time.perf_counter()
            status, _ = get(sock, target)
            taken.append(time.perf_counter() - begun)
            assert status == 200, status
            time.sleep(0.001)
    taken.sort()
    return [taken[len(taken) * percent // 100] * 1e6 for _, percent in PERCENTILES]


def is_twice(quiet, pressed):
    return min(pressed) > 2 * min(quiet)


def is_slower(quiet, pressed):
    """Whether a figure that is judged is more than twice that of quiet in these rounds."""
    figures = zip(PERCENTILES, zip(*quiet), zip(*pressed))
    return any(label in JUDGED and is_twice(before, meanwhile) for (label, _), before, meanwhile in figures)


failed = False
for mode in sys.argv[5:]:
    quiet, pressed = [], []
    before = metric("dqe_proxy_caller_connections_opened_total")
    while len(quiet) < rounds or (len(quiet) < MOST_TIMES * rounds and is_slower(quiet, pressed)):
        quiet.append(measure())
        with Attack(mode):
            pressed.append(measure())
    opened = metric("dqe_proxy_caller_connections_opened_total") - before
    figures = []
    for (label, _), before, meanwhile in zip(PERCENTILES, zip(*quiet), zip(*pressed)):
        figures.append(f"{label} {min(before):.0f} -> {min(meanwhile):.0f} us")
        if is_twice(before, meanwhile):
            figures[-1] += " (MORE THAN TWICE)" if label in JUDGED else " (not judged)"
            failed = failed or label in JUDGED
    print(f"{MODES[mode][0]} ({mode}), {opened} connections in {len(quiet)} rounds: {', '.join(figures)}", flush=True)
sys.exit(failed)
