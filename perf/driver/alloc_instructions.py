# SPDX-License-Identifier: BSL-1.0
"""Counts the instructions of a malloc and a free under callgrind, which runs whatever allocator is preloaded."""
import os
import pathlib
import re
import subprocess
import tempfile

from alloc_catalog import INSTRUCTION_SIZES
from child import Failed

FEW, MANY = 2_000, 12_000  # two runs, so that what happens once cancels out


def totals(profile):
    """(instructions, objects that were executed) of a profile."""
    total = re.search(r"^(?:totals|summary): (\d+)", profile, re.MULTILINE)
    if total is None:
        raise Failed("callgrind wrote no total")
    return int(total.group(1)), set(re.findall(r"^c?ob=\(\d+\) (.+)$", profile, re.MULTILINE))


def executed(allocator, build, size, pairs):
    """Instructions of the whole program with so many pairs. Fails unless they are in the allocator's object."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "profile"
        # Tools of valgrind may put a malloc of their own in its place; callgrind does not, and the synonym keeps it so.
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--soname-synonyms=somalloc=NONE",
                   str(build / "perf" / "alloc" / "pair" / "pair"), "--size", str(size), "--count", str(pairs)]
        environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        if allocator.library:
            environment["LD_PRELOAD"] = allocator.library
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise Failed(f"valgrind ended with {done.returncode}: {done.stderr[-400:]}")
        total, objects = totals(out.read_text(encoding="utf-8", errors="replace"))
    wanted = os.path.realpath(allocator.library) if allocator.library else None
    if wanted and wanted not in {os.path.realpath(path) for path in objects}:
        raise Failed(f"nothing of {wanted} was executed under valgrind")
    return total


def count(allocator, build):
    """Metrics: the instructions of one pair of each size."""
    return {f"instructions_{size}": (executed(allocator, build, size, MANY) - executed(allocator, build, size, FEW)) /
            (MANY - FEW) for size in INSTRUCTION_SIZES}
