"""What is compared, and the bar each row has to meet."""

from dataclasses import dataclass, field

from loads import Ab, Wrk
from proxies import CLOSED, LARGE, MEDIUM, READ, SMALL, Setup


@dataclass(frozen=True)
class Bar:
    """Ours is to be at most so many times a peer's, or at most so much."""

    better: float = None
    nginx: float = None
    haproxy: float = None
    limit: float = None

    def __str__(self):
        texts = [f"≤ {self.limit:g}"] if self.limit is not None else []
        texts += [f"≤ {self.better:.2f} × the better"] if self.better is not None else []
        texts += [f"≤ {self.nginx:.2f} × nginx"] if self.nginx is not None else []
        texts += [f"≤ {self.haproxy:.2f} × HAProxy"] if self.haproxy is not None else []
        return ", ".join(texts)

    def is_met(self, figures):
        """`None` when there is no bar, or nobody to hold ours against."""
        held = [
            (self.limit, figures.median("ours")),
            (self.better, figures.ratio("better")),
            (self.nginx, figures.ratio("nginx")),
            (self.haproxy, figures.ratio("haproxy")),
        ]
        asked = [(limit, value) for limit, value in held if limit is not None]
        if not asked or any(value is None for _, value in asked):
            return None
        return all(value <= limit for limit, value in asked)


@dataclass(frozen=True)
class Timed:
    """Processor time per request under a load, in rounds."""

    name: str
    title: str
    load: object
    setup: Setup = field(default_factory=Setup)
    bar: Bar = field(default_factory=Bar)
    # Also shows what passing through the proxy adds to a request.
    added: Bar = None
    # Also shows what the setup costs over the plain one.
    surplus: Bar = None
    quick: bool = False


@dataclass(frozen=True)
class Counted:
    """Something that is counted once rather than timed in rounds."""

    name: str
    title: str
    bar: Bar = field(default_factory=Bar)
    setup: Setup = field(default_factory=Setup)
    quick: bool = False


TLS = Setup(tls=True)

TIMED = [
    Timed(
        "seq", "one GET of 200 B after the other", Wrk(SMALL, 1, on_one_processor=True),
        bar=Bar(better=0.95), added=Bar(limit=28, nginx=1.0), quick=True,
    ),
    Timed(
        "seq_tls", "one after the other, HTTPS to the origin", Wrk(SMALL, 1, on_one_processor=True), TLS,
        bar=Bar(better=0.90), added=Bar(limit=36, nginx=1.0), quick=True,
    ),
    Timed("small", "GET 200 B, 64 connections", Wrk(SMALL, 64), bar=Bar(better=0.95)),
    Timed("small_tls", "GET 200 B, 64 connections, HTTPS", Wrk(SMALL, 64), TLS, bar=Bar(better=0.90), quick=True),
    Timed("post", "POST 1 KiB → 4 KiB, 64 connections", Wrk(MEDIUM, 64, posted=1024)),
    Timed(
        "post_tls", "POST 1 KiB → 4 KiB, 64 connections, HTTPS", Wrk(MEDIUM, 64, posted=1024), TLS,
        bar=Bar(better=0.90), quick=True,
    ),
    Timed(
        "close", "connection per request, HTTP/1.0, 32 at a time", Ab(SMALL, 32),
        bar=Bar(nginx=1.15, haproxy=1.0),
    ),
    Timed("two", "two threads, GET 200 B, 64 connections", Wrk(SMALL, 64), Setup(threads=2)),
    Timed(
        "two_tls", "two threads, GET 200 B, 64 connections, HTTPS", Wrk(SMALL, 64), Setup(threads=2, tls=True),
        bar=Bar(better=0.85),
    ),
    Timed(
        "log", "GET 200 B, 64 connections, access log on", Wrk(SMALL, 64), Setup(log=True),
        surplus=Bar(limit=5),
    ),
    Timed("large", "download of 1 MiB, 16 connections", Wrk(LARGE, 16), bar=Bar(haproxy=0.5)),
    Timed("large_tls", "download of 1 MiB, 16 connections, HTTPS", Wrk(LARGE, 16), TLS, bar=Bar(haproxy=0.8)),
    Timed("upload_tls", "POST of 256 KiB, 16 connections, HTTPS", Wrk(READ, 16, posted=256 * 1024), TLS),
    Timed("many_tls", "GET 200 B, 1000 connections, HTTPS", Wrk(SMALL, 1000), TLS),
    Timed("closed_tls", "GET 200 B, 32 connections, HTTPS, closed by the origin each time", Wrk(CLOSED, 32), TLS),
]  # fmt: skip

COUNTED = [
    Counted("instructions", "user instructions a request", Bar(limit=24000), quick=True),
    Counted("instructions_tls", "user instructions a request, HTTPS", Bar(limit=32000), TLS, quick=True),
    Counted("syscalls", "system calls a request, 64 connections", Bar(limit=4.1), quick=True),
    Counted("syscalls_tls", "system calls a request, 64 connections, HTTPS", Bar(limit=4.1), TLS),
    Counted("cold_start", "cold start to the first answer, ms", Bar(limit=10), quick=True),
    Counted("idle", "idle process, PSS, MiB", Bar(limit=8)),
    Counted("idle_resident", "idle process, RSS, MiB"),
    Counted("callers", "10 000 idle connections, PSS, MiB", Bar(limit=55)),
    Counted("caller", "memory of an idle connection, KiB", Bar(limit=4)),
]
