"""Loads by wrk and ab, and what they cost the proxy."""

import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass

from measuring import wire
from measuring.processes import CannotMeasure, busy_seconds, cpu_seconds, user_and_system

from proxies import FOR_OTHERS, FOR_PROXY, TOKEN


@dataclass(frozen=True)
class Sample:
    """One run of a load."""

    requests: int
    errors: int
    seconds: float
    cpu: float
    kernel_share: float
    # Processors that load and origin kept busy, and those that neither they nor the proxy did.
    load: float
    others: float

    @property
    def cpu_us(self):
        """Processor time of the proxy for one request, in µs."""
        return self.cpu / max(self.requests, 1) * 1e6

    @property
    def wall_us(self):
        """Time per request as the load saw it, in µs."""
        return self.seconds / max(self.requests, 1) * 1e6


@dataclass(frozen=True)
class Wrk:
    """Requests as fast as they are answered, on kept-alive connections."""

    target: str
    connections: int
    # Bytes of JSON that each request posts.
    posted: int = 0
    # Load, proxy and origin share one processor, so that the whole path is
    # walked one step after the other.
    on_one_processor: bool = False

    def run(self, proxy, origin, seconds, ground):
        argv = ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s"]
        fields = dict(wire.FIELDS)
        if proxy.name == "direct":
            fields["Authorization"] = f"Bearer {TOKEN}"
        argv += [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
        if self.posted:
            argv += ["-s", str(post_script(ground, self.posted))]
        argv.append(f"http://127.0.0.1:{proxy.port}{self.target}")
        output, used = run(argv, proxy, origin, self.on_one_processor)
        counted = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", output)
        if counted is None:
            raise CannotMeasure(f"wrk says: {output}")
        seconds = float(counted[2]) * {"ms": 0.001, "s": 1, "m": 60}[counted[3]]
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
        errors = (int(refused[1]) if refused else 0) + (sum(map(int, broken.groups())) if broken else 0)
        return Sample(int(counted[1]), errors, seconds, **used)


@dataclass(frozen=True)
class Ab:
    """HTTP/1.0 with a connection for each request, as old applications do."""

    target: str
    connections: int

    def run(self, proxy, origin, seconds, _ground):
        requests = max(500, int(4000 * seconds))
        argv = ["ab", "-q", "-r", "-s", "10", "-c", str(self.connections), "-n", str(requests)]
        for name, value in wire.FIELDS.items():
            # ab writes these two itself, and takes another value as a second line.
            if name not in ("User-Agent", "Accept"):
                argv += ["-H", f"{name}: {value}"]
        output, used = run([*argv, f"http://127.0.0.1:{proxy.port}{self.target}"], proxy, origin, False)

        def number(pattern):
            found = re.search(pattern, output)
            return float(found[1]) if found else 0

        done = int(number(r"Complete requests:\s+(\d+)"))
        if not done:
            raise CannotMeasure(f"ab says: {output}")
        errors = number(r"Failed requests:\s+(\d+)") + number(r"Non-2xx responses:\s+(\d+)")
        return Sample(done, int(errors), number(r"Time taken for tests:\s+([\d.]+)"), **used)


def post_script(ground, length):
    path = ground.folder / f"post-{length}.lua"
    if not path.exists():
        start, end = '{"email":"jean.dupont@example.com","note":"', '"}'
        body = start + "x" * (length - len(start) - len(end)) + end
        path.write_text(f"wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['Content-Type'] = 'application/json'\n")
    return path


def run(argv, proxy, origin, on_one_processor):
    """Runs the load; its output, and what it cost."""
    cpus = None
    if on_one_processor:
        cpus = FOR_PROXY
    elif proxy.setup.threads == 1:
        cpus = FOR_OTHERS
    pin(origin.pids, FOR_PROXY if on_one_processor else FOR_OTHERS)
    before = clocks(proxy, origin)
    done = subprocess.run(
        argv, capture_output=True, text=True, preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    )
    after = clocks(proxy, origin)
    wall, busy, load, behind, cpu, user, system = (b - a for a, b in zip(before, after))
    return done.stdout + done.stderr, {
        "cpu": cpu,
        "kernel_share": system / max(user + system, 1),
        "load": (load + behind) / wall,
        "others": max(0.0, (busy - load - behind - cpu) / wall),
    }


def clocks(proxy, origin):
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        time.perf_counter(),
        busy_seconds(),
        children.ru_utime + children.ru_stime,
        cpu_seconds(origin.pids),
        cpu_seconds(proxy.pids),
        *user_and_system(proxy.pids),
    )


def pin(pids, cpus):
    for pid in pids:
        os.sched_setaffinity(pid, cpus)
