"""The origin, and the three proxies in front of it, all doing one job: HTTP/1.1
from callers, the caller's Authorization replaced by a bearer token, connections
to the origin kept open. Over TLS everybody verifies the origin's certificate
and speaks TLS 1.3."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template

from measuring import callgrind, product, wire
from measuring.processes import CannotMeasure, family, free_port, program

HERE = Path(__file__).resolve().parent
TOKEN = "bench-token-0123456789abcdef0123456789abcdef"
NAMES = ("nginx", "haproxy", "ours")

READ = "/RECSIRET/"
SMALL = "/TEL/?Tel=0612345678&Pays=FRA"
MEDIUM = "/DQEEMAILLOOKUP/?Email=jean.dupont%40example.com"
CLOSED = "/SEARCH/?SEARCH_REF=1"
LARGE = "/SINGLEV2/?Adresse=18%20rue%20de%20rivoli&Pays=FRA"

# One thread's proxy has the last processor for itself, load and origin the others.
PROCESSORS = sorted(os.sched_getaffinity(0))
FOR_PROXY = {PROCESSORS[-1]}
FOR_OTHERS = set(PROCESSORS[:-1]) or FOR_PROXY


class Configuration(Template):
    """A file with `@{name}` in it: nginx has its own use for the dollar."""

    delimiter = "@"

    @classmethod
    def write(cls, ground, file, target, **values):
        path = ground.folder / target
        path.write_text(cls((HERE / file).read_text()).substitute(folder=ground.folder, **values))
        return path


def answer(size):
    """A good answer of DQE's shape with exactly `size` bytes."""
    found = {"1": {"IdError": 0, "Type": "MOBILE", "Operator": "SFR", "Note": ""}}
    found["1"]["Note"] = "x" * (size - len(json.dumps(found)))
    return json.dumps(found)


def certificate(folder):
    """An authority and a certificate of it for the origin, both by openssl."""

    def openssl(*argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    authority = ("-keyout", "authority.key", "-out", "authority.pem")
    openssl("req", "-x509", *key, *authority, "-days", "2", "-subj", "/CN=bench authority")
    openssl("req", *key, "-keyout", "origin.key", "-out", "origin.csr", "-subj", "/CN=localhost")
    (folder / "origin.ext").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
        "basicConstraints=CA:FALSE\n"
        "extendedKeyUsage=serverAuth\n"
    )
    signer = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
    asked = ("-in", "origin.csr", "-extfile", "origin.ext", "-days", "2")
    openssl("x509", "-req", *asked, *signer, "-out", "origin.pem")


class Origin:
    """The server every proxy forwards to."""

    def __init__(self, ground):
        certificate(ground.folder)
        files = ground.folder / "files"
        files.mkdir()
        (files / "large.json").write_text(answer(1 << 20))
        self.port, self.tls_port = free_port(), free_port()
        configuration = Configuration.write(
            ground,
            "origin.conf",
            "origin.conf",
            workers=len(FOR_OTHERS),
            port=self.port,
            tls_port=self.tls_port,
            certificate=ground.folder / "origin.pem",
            key=ground.folder / "origin.key",
            token=TOKEN,
            small=answer(200),
            kib="x" * 1012,
        )
        argv = [program("nginx"), "-c", configuration, "-e", ground.folder / "origin.log"]
        process = ground.start(argv, "origin", cpus=FOR_OTHERS)
        ground.wait("answering", process, "origin", lambda: wire.once(self.port, "/oauth/access_token/")[0] == 200)
        self.pids = family(process.pid)


@dataclass(frozen=True)
class Setup:
    """How a proxy is to run."""

    threads: int = 1
    tls: bool = False
    log: bool = False


class Proxy:
    """One of the three, started and known to do the job."""

    def __init__(self, ground, origin, binary, name, setup, counted=False):
        self.name, self.setup, self.ground = name, setup, ground
        self.port = free_port()
        self.log = f"{name}-{self.port}"
        argv, environment = command(ground, origin, binary, name, setup, self, counted)
        if counted:
            self.counted = ground.folder / f"{self.log}.callgrind"
            argv = callgrind.under(argv, self.counted)
        cpus = FOR_PROXY if setup.threads == 1 and not counted else None
        begun = time.perf_counter()
        self.process = ground.start(argv, self.log, env=environment, cpus=cpus)
        ground.wait("answering", self.process, self.log, self.is_answering, 60, pause=0.0003)
        self.start_ms = (time.perf_counter() - begun) * 1000
        self.pids = family(self.process.pid)

    def is_answering(self):
        """A 200, which the origin gives to the right token only."""
        return wire.once(self.port, SMALL)[0] == 200

    def counting(self):
        return callgrind.Counting(self.process, self.counted)


def command(ground, origin, binary, name, setup, proxy, counted):
    """Arguments and environment that start it."""
    origin_port = origin.tls_port if setup.tls else origin.port
    scheme = "https" if setup.tls else "http"
    authority = ground.folder / "authority.pem"
    shared = {"port": proxy.port, "origin_port": origin_port, "threads": setup.threads, "token": TOKEN}
    if name == "nginx":
        configuration = Configuration.write(
            ground,
            "nginx.conf",
            f"{proxy.log}.conf",
            scheme=scheme,
            authority=authority,
            access_log=f"{ground.folder}/{proxy.log}.access line" if setup.log else "off",
            # callgrind counts one process.
            single_process="master_process off;" if counted else "",
            **shared,
        )
        return [program("nginx"), "-c", configuration, "-e", ground.folder / "nginx.log"], None
    if name == "haproxy":
        verified = (
            f"ssl verify required ca-file {authority} sni str(localhost) verifyhost localhost"
            " ssl-min-ver TLSv1.3"
        )
        configuration = Configuration.write(
            ground,
            "haproxy.cfg",
            f"{proxy.log}.cfg",
            tls=verified if setup.tls else "",
            log_target="log stdout format raw local0" if setup.log else "",
            log_lines="log global\n    option httplog" if setup.log else "",
            **shared,
        )
        return [program("haproxy"), "-db", "-f", configuration], None
    if name == "ours":
        server = f"{scheme}://localhost:{origin_port}"
        ca = authority if setup.tls else None
        environment = product.settings(server, setup.threads, access_log=setup.log, ca=ca)
        environment["DQE_PROXY_LISTENER_ADDRESS"] = f"127.0.0.1:{proxy.port}"
        return [binary, "run"], environment
    raise CannotMeasure(f"{name} is no proxy of this comparison")
