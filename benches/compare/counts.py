"""What is counted rather than timed: instructions, system calls, memory, start."""

import signal
import subprocess
import time
from collections import Counter

from measuring import wire
from measuring.processes import CannotMeasure, end, memory_kib, program

from figures import Figures
from proxies import SMALL

CONNECTIONS = 10_000
STARTS = 7
# A multiple of the 64 callers.
TRACED = 12_800
# An idle connection's memory is to be given back within 10 s.
SETTLED = 12


def instructions(bench, setup):
    """By callgrind, eight callers in step; see benches/instructions for ours alone."""
    values = {}
    for name in bench.names:
        proxy = bench.start(name, setup, counted=True)
        message = wire.request(proxy.port, SMALL)
        wire.in_step(proxy.port, message, 400, 8)
        figure, _ = proxy.counting().per_request(lambda n: wire.in_step(proxy.port, message, n, 8), 1000)
        end(proxy.process)
        values[name] = [figure]
    return Figures(values)


def system_calls(bench, setup):
    """By strace, 64 callers in step; and which they are.

    What N requests and twice as many take is subtracted from each other, so
    that opening the connections cancels out."""
    if not program("strace"):
        raise CannotMeasure("strace is missing: apt-get install strace")
    values, notes = {}, []
    for name in bench.names:
        proxy = bench.start(name, setup)
        wire.in_step(proxy.port, wire.request(proxy.port, SMALL), 640, 64)
        once, twice = (traced(bench, proxy, requests) for requests in (TRACED, 2 * TRACED))
        end(proxy.process)
        shares = {call: (count - once[call]) / TRACED for call, count in twice.items()}
        values[name] = [sum(shares.values())]
        listed = sorted(((share, call) for call, share in shares.items() if share >= 0.01), reverse=True)
        notes.append(f"{name}: " + ", ".join(f"{call} {share:.2f}" for share, call in listed))
    return Figures(values), notes


def traced(bench, proxy, requests):
    """The system calls that so many requests take, each with its number."""
    out, name = bench.ground.folder / f"{proxy.log}.strace", f"strace-{proxy.log}"
    watched = [part for pid in proxy.pids for part in ("-p", str(pid))]
    strace = bench.ground.start(["strace", "-f", "-c", "-o", out, *watched], name)
    bench.ground.wait("attaching", strace, name, lambda: "attached" in bench.ground.err(name).read_text())
    wire.in_step(proxy.port, wire.request(proxy.port, SMALL), requests, 64)
    strace.send_signal(signal.SIGINT)
    strace.wait(20)
    # Percent, seconds, µs a call, calls, perhaps errors, name.
    lines = [one.split() for one in out.read_text().splitlines()]
    calls = {one[-1]: int(one[3]) for one in lines if len(one) >= 5 and one[3].isdigit() and one[-1] != "total"}
    return Counter(calls)


def cold_start(bench):
    """From starting the process to its first answer, our token call included."""
    values = {name: [] for name in bench.names}
    for round_ in range(STARTS):
        for name in bench.in_turn(round_):
            proxy = bench.start(name)
            values[name].append(proxy.start_ms)
            end(proxy.process)
    return Figures(values)


def memory(bench):
    """Proportional and resident memory when idle, and with idle connections
    that have carried one request each."""
    idle, resident, together, each = {}, {}, {}, {}
    for name in bench.names:
        proxy = bench.start(name)
        time.sleep(1)
        before, before_resident = memory_kib(proxy.pids)
        message = wire.request(proxy.port, SMALL)
        callers = []
        for _ in range(CONNECTIONS):
            caller = wire.Connection(proxy.port)
            caller.send(message)
            status, body = caller.answer()
            if status != 200:
                raise CannotMeasure(f"{name} answers {status} to connection {len(callers)}: {body[:200]!r}")
            callers.append(caller)
        time.sleep(SETTLED)
        after, _ = memory_kib(proxy.pids)
        for caller in callers:
            caller.close()
        end(proxy.process)
        idle[name], resident[name] = [before / 1024], [before_resident / 1024]
        together[name], each[name] = [after / 1024], [(after - before) / CONNECTIONS]
    measured = {"idle": idle, "idle_resident": resident, "callers": together, "caller": each}
    return {row: Figures(values) for row, values in measured.items()}


def version(argv):
    """The first line in which a program tells its version."""
    try:
        told = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except OSError:
        return f"{argv[0]}: missing"
    return ((told.stdout + told.stderr).strip().splitlines() or [f"{argv[0]}: says nothing"])[0]
