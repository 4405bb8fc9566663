"""The program as it is measured: one listener, everything it can do switched on."""

import os
import re

from .processes import family


def settings(server, threads, access_log=False, ca=None, licence="SANDBOX", secret="sandbox-secret"):
    """Its environment. All that is on by default stays on (admin listener,
    metrics, catalogue of routes, both carriages, dead tokens looked for); what
    has to be named to be on is named."""
    chosen = {
        "DQE_SERVER": server,
        "DQE_LICENCE": licence,
        "DQE_CLIENT_SECRET": secret,
        "DQE_PROXY_LISTENER_ADDRESS": "127.0.0.1:0",
        "DQE_PROXY_LISTENER_ALLOW": "loopback",
        "DQE_PROXY_LISTENER_HOSTS": "127.0.0.1,localhost",
        "DQE_PROXY_CORS_ORIGINS": "https://intranet.example",
        "DQE_PROXY_LISTENER_MAX_CONNECTIONS": "12000",
        "DQE_PROXY_LISTENER_MAX_CONNECTIONS_PER_CALLER": "11000",
        "DQE_PROXY_LISTENER_MAX_REQUESTS": "10000",
        "DQE_PROXY_LISTENER_MAX_MEMORY": "1GiB",
        "DQE_PROXY_LISTENER_THREADS": str(threads),
        "DQE_PROXY_ADMIN_ADDRESS": "127.0.0.1:0",
        "DQE_PROXY_LOG_FORMAT": "json",
        "DQE_PROXY_LOG_ACCESS": "true" if access_log else "false",
        "DQE_PROXY_DRAIN_DELAY": "0s",
    }
    if ca:
        chosen["DQE_PROXY_UPSTREAM_CA_FILES"] = str(ca)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | chosen


def told_port(ground, name, key):
    """The port in `"key":"ADDRESS"` of the program's log, once it is there."""
    line = re.search(rf'"{key}":"[0-9.]+:(\d+)"', ground.err(name).read_text(errors="replace"))
    return line and int(line[1])


class Sandbox:
    """The fake DQE as a process of its own, whose work is not counted."""

    def __init__(self, ground, binary, https, cpus=None):
        name = "sandbox-https" if https else "sandbox"
        argv = [binary, "sandbox", "--quiet", "--journal-size", "10", "--seed", "1"]
        argv += ["--address", "127.0.0.1:0", "--control-address", "127.0.0.1:0"]
        # No renewal falls into what is measured.
        argv += ["--token-life", "86400s"]
        self.ca = ground.folder / "sandbox-ca.pem" if https else None
        if https:
            argv += ["--https", "--ca-file", self.ca]
        self.process = ground.start(argv, name, cpus=cpus)
        self.pids = family(self.process.pid)
        found = ground.wait(
            "telling its address",
            self.process,
            name,
            lambda: re.search(r"answers on (https?://\S+)", ground.out(name).read_text()),
        )
        self.url = found[1]
