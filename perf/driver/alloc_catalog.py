# SPDX-License-Identifier: BSL-1.0
"""What there is to measure of allocators: the programs of perf/alloc and the applications."""
import dataclasses

from alloc_applications import APPLICATIONS
from catalog import Problem

PAIR_SIZES = [16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 2**10, 1536, 2**11, 2**12, 2**13, 2**14, 2**15, 48 * 2**10,
              2**16, 2**17, 2**18, 2**19, 2**20, 3 * 2**19, 2**21, 2**22, 2**23, 2**24]
INSTRUCTION_SIZES = [16, 64, 2**10, 2**15, 2**18]


def bytes_of(size):
    for unit, name in ((2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


@dataclasses.dataclass
class Scale:
    """How much is measured."""
    rounds: int
    work: int  # percent of the usual work of a program whose work is fixed
    milliseconds: int  # of one figure of the others
    settle: int  # milliseconds that fragmentation waits
    settle_rounds: int


QUICK = Scale(3, 30, 10, 2_000, 1)
USUAL = Scale(5, 100, 30, 5_000, 1)
FULL = Scale(9, 200, 100, 15_000, 3)

OUTSIDE = {"cpu_s": "user+sys, s", "memory_mib": "peak memory, MiB"}


def suite(name, title, operation="operation", on="all"):
    return Problem(f"alloc/{name}", title, {"operation_ns": f"{operation}, ns", **OUTSIDE}, [], on, {})


def micro(name, title, metrics, on="one"):
    return Problem(f"alloc/{name}", title, metrics, [], on, {})


SUITE = [
    suite("larson", "a server whose threads inherit blocks"),
    suite("xmalloc", "some threads allocate, others free", "block"),
    suite("sh6", "blocks of 1 to 1,000 bytes in batches", "block"),
    suite("sh8", "the same, freed by other threads", "block"),
    suite("mstress", "short-lived threads that swap objects", "object"),
    suite("rptest", "blocks of 8 to 16,000 bytes, some freed by the next thread", "block"),
    suite("cache_scratch", "writes to objects after others were freed elsewhere", "write"),
    suite("cache_thrash", "writes to objects that threads allocate side by side", "write"),
    suite("alloc_test", "slots at random, sizes by a power law"),
    suite("glibc_simple", "25 to 1,600 blocks of one size", "pair", on="one"),
    suite("glibc_thread", "a working set of 1,024 blocks, most of them small"),
    suite("malloc_large", "blocks of 5 to 25 MiB", "block", on="one"),
    suite("mleak", "threads with a heap come and go", "thread"),
]
MICRO = [
    micro("pair", "malloc and free of one block, ns", {f"pair_{size}_ns": bytes_of(size) for size in PAIR_SIZES}),
    micro("batch", "10,000 blocks, allocated, then freed, ns each", {
        f"{order}_{size}_ns": f"{bytes_of(size)}, {title}" for size in (64, 1024)
        for order, title in (("same", "in their order"), ("reverse", "in reverse"), ("random", "in random order"))}),
    micro("handoff", "64 B from one thread to another, ns", {"block_ns": "a block"}, "most"),
    micro("realloc", "growth from 64 KiB to 64 MiB by 64 KiB, ms", {"growth_ms": "filled as it grows"}),
    micro("calloc", "calloc, all of it written, free, ns", {
        f"calloc_{size}_ns": bytes_of(size) for size in (64, 2**10, 2**14, 2**18, 2**22)}),
    micro("memalign", "posix_memalign and free, 20 live, ns", {
        f"align_{alignment}_size_{size}_ns": f"{size:,} B at {alignment:,}"
        for alignment, size in ((64, 100), (64, 4000), (4096, 4096), (2**16, 2**16), (2**21, 2**21))}),
    micro("thread", "a thread that allocates and frees 64 B, ns", {"thread_ns": "started and joined"}, "all"),
]


def fragmentation(settle):
    moments = sorted({0, 1_000, 2_000, 5_000, 10_000, settle})
    return micro("fragmentation", "resident memory of a heap of 356 MB, MiB", {
        "live_mib": "all live",
        **{f"tenth_{ms}_mib": f"a tenth live, after {ms / 1000:g} s" for ms in moments if ms <= settle},
        **{f"freed_{ms}_mib": f"all freed, after {ms / 1000:g} s" for ms in moments if ms <= settle}})


INSTRUCTIONS = micro("instructions", "instructions of a malloc and a free, the loop's included", {
    f"instructions_{size}": bytes_of(size) for size in INSTRUCTION_SIZES})
WORKLOADS = SUITE + [application.problem for application in APPLICATIONS]  # what the means are made of


def problems(scale, instructions):
    """All of them, in the order of the tables."""
    return WORKLOADS + MICRO + [fragmentation(scale.settle)] + ([INSTRUCTIONS] if instructions else [])


def rounds_of(problem, scale):
    """Instructions are the same each time; what waits for seconds cannot be asked often."""
    if problem is INSTRUCTIONS:
        return 1
    return scale.settle_rounds if problem.name == "alloc/fragmentation" else scale.rounds


def folder_of(problem):
    return problem.name.removeprefix("alloc/")


def command(problem, build, procs, scale):
    """The command line of a program of perf/alloc, without its allocator."""
    name = folder_of(problem)
    line = [str(build / "perf" / problem.name / name), "--procs", str(procs)]
    if problem in SUITE:
        return line + ["--work", str(scale.work)]
    if name == "fragmentation":
        return line + ["--settle", str(scale.settle)]
    return line + ["--ms", str(scale.milliseconds)]
