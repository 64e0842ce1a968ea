# SPDX-License-Identifier: BSL-1.0
"""The allocators that are compared, and whether a program really runs on the one it was started with."""
import dataclasses
import os
import pathlib
import time

import machine
from catalog import OURS
from child import Failed

BASELINE = "jemalloc"
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
MIMALLOC = ("libmimalloc.so.3", "libmimalloc.so.2")  # Debian 13 has the newer one, Debian 12 the other
INSTALLED = {  # name -> what Debian's package calls it; None is the libc's own
    BASELINE: "libjemalloc.so.2",
    "glibc": None,
    "mimalloc": next((file for file in MIMALLOC if (LIBRARIES / file).exists()), MIMALLOC[0]),
    "gperftools": "libtcmalloc_minimal.so.4",
}


@dataclasses.dataclass(frozen=True)
class Allocator:
    name: str
    library: str | None  # None: nothing is preloaded

    @property
    def mapped(self):
        """The library as a memory map names it; empty if there is none."""
        return os.path.realpath(self.library) if self.library else ""

    def preloading(self):
        """What goes before a command. Our own programs look into their memory map for PERF_ALLOCATOR."""
        preload = [f"LD_PRELOAD={self.library}"] if self.library else ["-u", "LD_PRELOAD"]
        return ["/usr/bin/env", *preload, f"PERF_ALLOCATOR={self.mapped}"]

    def missing(self):
        return self.library is not None and not os.path.exists(self.library)

    def version(self):
        owner = machine.first_line("dpkg-query", "-S", os.path.realpath(self.library))
        if owner is None:
            return self.library
        package = owner.split(": ")[0]
        return f"{self.library} ({package} {machine.first_line('dpkg-query', '-W', '-f', '${Version}', package)})"


def forced(allocator):
    """The same for a program that is linked with another allocator: the libc's own has to be preloaded, too."""
    return allocator if allocator.library else dataclasses.replace(allocator, library=LIBC)


def known(build, added):
    """All allocators by name, ours first; `added` are (name, path) of the command line and may replace others."""
    libraries = {OURS: str(build / "alloc" / "libheddle_malloc.so")}
    libraries.update((name, str(LIBRARIES / file) if file else None) for name, file in INSTALLED.items())
    libraries.update(added)
    return {name: Allocator(name, library) for name, library in libraries.items()}


def descendants(pid):
    """The process and all that came from it, as far as they can be seen."""
    yield pid
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from descendants(int(child))


class Witness:
    """Looks into the memory map of an application while it runs. A preload that the loader ignores (of another
    machine, gone, misspelt) would measure the libc once more under a name that is not its own."""

    def __init__(self, allocator, program, others):
        self.allocator = allocator
        self.program = program  # the begin of its command's name
        self.others = {other.mapped for other in others} - {allocator.mapped, ""}
        self.verdict = f"{program} ended before it could be seen which allocator it had"

    def watch(self, pid):
        while self.verdict and os.path.exists(f"/proc/{pid}/exe"):
            # The process itself is the driver's fork or time(1), and the driver is a python3, too.
            if any(self.look(process) for process in descendants(pid) if process != pid):
                return
            time.sleep(0.002)

    def look(self, pid):
        """True once the program was seen with its libraries loaded; the loader maps the preloaded ones first."""
        try:
            # The name of the command, not of the file: redis-server is a link to another name.
            if not pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith(self.program):
                return False
            maps = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        mapped = {fields[5] for fields in (line.split(None, 5) for line in maps.splitlines()) if len(fields) == 6}
        if not any("/libc.so" in path for path in mapped):
            return False
        if self.allocator.library and self.allocator.mapped not in mapped:
            self.verdict = f"{self.program} runs without {self.allocator.mapped}, which was to be preloaded"
        elif mapped & self.others:
            self.verdict = f"{self.program} runs with {', '.join(mapped & self.others)}, which nobody asked for"
        else:
            self.verdict = None
        return True

    def testify(self):
        """Raises Failed unless the program was seen with this allocator and no other."""
        if self.verdict:
            raise Failed(self.verdict)
