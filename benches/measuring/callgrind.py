"""User-space instructions by valgrind's callgrind: the same from run to run
where times are not, and blind to the kernel."""

import re
import subprocess
from collections import Counter

from .processes import CannotMeasure, program


def under(argv, out):
    """The command that runs `argv` and counts into files that begin with `out`."""
    for needed in ("valgrind", "vgdb"):
        if not program(needed):
            raise CannotMeasure(f"{needed} is missing: apt-get install valgrind")
    return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", *argv]


class Counting:
    """A process that runs under callgrind."""

    def __init__(self, process, out):
        self.pid = process.pid
        self.out = out
        self.dumps = 0

    def dump(self):
        """Writes what was counted since the last dump; the file."""
        order = ["vgdb", f"--pid={self.pid}", "dump"]
        try:
            asked = subprocess.run(order, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired as error:
            raise CannotMeasure("valgrind does not take the order to dump its counts") from error
        self.dumps += 1
        file = self.out.with_name(f"{self.out.name}.{self.dumps}")
        if not file.exists():
            raise CannotMeasure(f"callgrind wrote no {file.name}: {asked.stdout}{asked.stderr}")
        return file

    def per_request(self, load, requests):
        """Instructions per request, and the file that tells where they went.

        `load(N)` makes N requests. What N and twice as many cost is taken from
        each other, so that opening connections and the like cancel out."""
        self.dump()
        load(requests)
        once = total(self.dump())
        load(2 * requests)
        file = self.dump()
        return (total(file) - once) / requests, file


def total(file):
    """All instructions of a dump."""
    for line in file.read_text(errors="replace").splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise CannotMeasure(f"{file} has no total")


def by_place(file):
    """Instructions of a dump by (source file, function), inlined code counted
    where it was written."""
    names, found = {}, Counter()

    def resolve(kind, text):
        # A name is written once, "(7) name", and then referred to as "(7)".
        number, name = re.match(r"\((\d+)\)(?: (.*))?", text).groups()
        return names.setdefault((kind, number), name)

    source = function = None
    is_call = False
    for line in file.read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("fl", "fi", "fe"):
            source = resolve("file", value)
        elif equals and key == "fn":
            function = resolve("function", value)
        elif equals and key in ("cfi", "cfl"):
            resolve("file", value)
        elif equals and key == "cfn":
            resolve("function", value)
        elif equals and key == "calls":
            # The next line is what the called function cost, counted there.
            is_call = True
        elif line[:1] in tuple("0123456789+-*"):
            cost = line.split()
            if not is_call and len(cost) > 1:
                found[source, function] += int(cost[1])
            is_call = False
    return found
