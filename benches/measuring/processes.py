"""Processes that end with the script, and what the system says about them."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class CannotMeasure(Exception):
    """Something that measuring needs is missing or did not work; says what."""


class Ground:
    """A folder of its own and the processes started from it. Leaving it ends
    those processes and removes the folder; after a failure the folder stays."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dqe-proxy-bench-"))
        # Servers that change their user have to read here.
        self.folder.chmod(0o755)
        self.started = []
        # So that a terminated script still ends what it started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        raise_open_files()
        return self

    def __exit__(self, kind, *_):
        for process in self.started:
            end(process)
        if kind in (None, SystemExit, KeyboardInterrupt):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"the logs are in {self.folder}", file=sys.stderr)

    def start(self, argv, name, env=None, cpus=None):
        """Starts a program; its output goes to NAME.out and NAME.err in the folder."""
        try:
            with open(self.out(name), "wb") as out, open(self.err(name), "wb") as err:
                process = subprocess.Popen(
                    [str(one) for one in argv],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
                )
        except OSError as error:
            raise CannotMeasure(f"{argv[0]} cannot be started: {error}") from error
        self.started.append(process)
        return process

    def out(self, name):
        return self.folder / f"{name}.out"

    def err(self, name):
        return self.folder / f"{name}.err"

    def wait(self, what, process, name, question, seconds=20, pause=0.01):
        """The first true answer to `question`, asked until a deadline."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = question()
            except OSError:
                answer = None
            if answer:
                return answer
            if process.poll() is not None or time.monotonic() > deadline:
                state = f"ended with {process.returncode}" if process.returncode is not None else "still runs"
                tail = self.err(name).read_text(errors="replace")[-2000:]
                raise CannotMeasure(f"{name} {state} without {what}:\n{tail}")
            time.sleep(pause)


def end(process):
    """Asks a process to end, and kills it when it does not within 5 s."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def raise_open_files():
    """Ten thousand connections need as many open files, for us and our children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def program(name):
    """The full path of a program, or None. Debian keeps servers out of a user's path."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def family(pid):
    """The process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(entry))
    found, open_ends = [], [pid]
    while open_ends:
        one = open_ends.pop()
        found.append(one)
        open_ends += children.get(one, [])
    return found


def cpu_seconds(pids):
    """User and system time the processes have used, from their exact clocks
    (the ticks of /proc/PID/stat are as long as hundreds of requests)."""
    # The clock of another process has the id (~pid << 3) | CPUCLOCK_SCHED.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def user_and_system(pids):
    """User and system ticks; good for their proportion only."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(one[11]) for one in fields), sum(int(one[12]) for one in fields)


def busy_seconds():
    """Time that the machine's processors were busy, or taken by other machines."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def memory_kib(pids):
    """Proportional and resident memory of the processes: a page that several
    map counts once in the first and each time in the second."""
    sums = {"Pss": 0, "Rss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name = line.split(":", 1)[0]
            if name in sums:
                sums[name] += int(line.split()[1])
    return sums["Pss"], sums["Rss"]
