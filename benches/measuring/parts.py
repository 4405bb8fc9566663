"""Which part of the program, or which library, a counted instruction is of."""

import re
from collections import Counter

from . import callgrind
from .processes import CannotMeasure

MEMORY = re.compile(r"malloc|free|calloc|realloc|tcache|unlink_chunk")
COPIES = re.compile(r"mem(cpy|move|set|cmp|chr)|str(len|cmp)")
# Assembly of aws-lc stands in no Rust crate.
CRYPTOGRAPHY = re.compile(r"aws_lc|aws-lc|crypto/|generated-src/|gcm|aes|sha(1|256|512)_|poly1305", re.I)


def part_of(source, function):
    """The name under which an instruction is listed."""
    source, function = source or "", function or ""
    ours = re.search(r"(?:^|/)(src/(?!main\.rs)[a-z_0-9]+(?:/[a-z_0-9]+)*)(?:/mod)?\.rs$", source)
    if ours and "/registry/" not in source and "/rustc/" not in source:
        return "dqe-proxy " + ours[1].removesuffix("/mod")
    crate = re.search(r"/registry/src/[^/]+/([a-z0-9_-]+?)-\d", source)
    if crate:
        return "aws-lc" if crate[1].startswith("aws-lc") else crate[1].replace("_", "-")
    if CRYPTOGRAPHY.search(source) or (CRYPTOGRAPHY.search(function) and "::" not in function):
        return "aws-lc"
    if "/rustc/" in source:
        return owner(function)
    if MEMORY.search(function):
        return "libc: malloc, free"
    if COPIES.search(function):
        return "libc: copying, comparing"
    return "libc: other" if "::" not in function else owner(function)


def owner(function):
    """The crate, and of ours the file's module, whose function the standard
    library's code was inlined into."""
    path = re.search(r"([a-z][a-z_0-9]*)::(?:([a-z_0-9]+)::)?(?:([a-z_0-9]+)::)?", function)
    if path is None or path[1] in ("core", "alloc", "std"):
        return "standard library"
    if path[1] != "dqe_proxy":
        return path[1].replace("_", "-")
    return "/".join(["dqe-proxy src", *filter(None, path.groups()[1:])])


def by_part(file):
    """Instructions of a dump by part, the largest first."""
    sums = Counter()
    for (source, function), cost in callgrind.by_place(file).items():
        sums[part_of(source, function)] += cost
    if sums.total() != callgrind.total(file):
        raise CannotMeasure(f"the parts of {file} do not add up to its total")
    return sums.most_common()
