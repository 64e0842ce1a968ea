# SPDX-License-Identifier: BSL-1.0
"""What there is to measure: problems, contenders, metrics and sizes."""
import dataclasses
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PERF = ROOT / "perf"
OURS = "heddle"


@dataclasses.dataclass
class Problem:
    name: str  # fiber/yield, digest
    title: str
    metrics: dict  # metric -> how the tables call it
    contenders: list  # in the order of the tables
    on: str  # which of the processor counts asked for: "one", "all" or the "most", see procs_of
    arguments: dict  # contender -> arguments of a --full run
    largest: dict = dataclasses.field(default_factory=dict)  # contender -> the largest --fibers; only of series

    @property
    def program(self):
        """The folder of the programs: a series runs those of another problem at several sizes."""
        return "fiber/parked" if self.largest else self.name


def series(metrics, sizes):
    """Metrics at each size: bytes -> bytes_100, bytes_1000 ..."""
    return {f"{metric}_{size}": f"{title}, {size:,}" for metric, title in metrics.items() for size in sizes}


FIBERS = [OURS, "boost_fiber", "go", "std_thread"]
SEGMENTED = "heddle_segmented"  # heddle on stacks that grow from 2 KiB
SMALL = "heddle_1k"  # ... from 1 KiB
GROWING = [OURS, SEGMENTED, "boost_fiber", "go", "std_thread"]
SIZES = [10**n for n in range(2, 8)]
# Beyond a million only with --full, and as far as 20 GiB go.
LARGEST = {OURS: 10**6, SEGMENTED: 10**7, SMALL: 10**7, "boost_fiber": 10**4, "go": 10**6, "std_thread": 10**4}

# --full lifts the caps that keep a default run short.
MOST = {"boost_fiber": ["--most", "1000000"], "std_thread": ["--most", "10000"]}

PROBLEMS = [
    Problem("fiber/switch", "one switch, ns", {"direct_ns": "direct", "cold_ns": "with a cold cache"},
            [OURS, "boost_fiber", "go", "jump_fcontext", "syscall", "thread", "process"], "one", {}),
    Problem("fiber/yield", "yield, ns", {"fibers_2_ns": "2 fibers", "fibers_1000_ns": "1,000 fibers",
                                         "fibers_100000_ns": "100,000 fibers"},
            [OURS, SEGMENTED, SMALL, "boost_fiber", "go", "std_thread"], "all",
            {"std_thread": ["--most", "10000"]}),
    Problem("fiber/spawn_join", "spawn and join one at a time, ns", {"spawn_join_ns": "spawn + join"}, GROWING, "all",
            {}),
    Problem("fiber/spawn_million", "spawn a million, then await them, ns each", {"spawn_ns": "per fiber"}, FIBERS,
            "all", MOST),
    Problem("fiber/ping_pong", "unbuffered channel, ns one way", {"one_way_ns": "one way"}, FIBERS, "all", {}),
    Problem("fiber/channel_1_1", "channel of 128, one producer and one consumer, ns", {"message_ns": "per message"},
            FIBERS, "all", {}),
    Problem("fiber/channel_4_4", "channel of 128, four producers and four consumers, ns", {"message_ns": "per message"},
            FIBERS, "all", {}),
    Problem("fiber/select", "select, ns", {
        "blocking_2_ns": "2 channels, blocking", "blocking_4_ns": "4 channels, blocking",
        "ready_2_ns": "2 channels, ready", "ready_4_ns": "4 channels, ready"}, [OURS, "go"], "all", {}),
    Problem("fiber/skynet", "a tree of fibers with a million leaves, ns", {"leaf_ns": "per leaf"}, GROWING, "all",
            MOST),
    Problem("fiber/fib", "fib(27) by spawning, ns", {"spawn_ns": "per spawn"}, GROWING, "all", {}),
    Problem("fiber/mutex", "counting under one mutex, ns", {
        "fibers_1_ns": "1 fiber", "fibers_2_ns": "2 fibers", "fibers_8_ns": "8 fibers",
        "fibers_1000_ns": "1,000 fibers"}, FIBERS, "all", {}),
    Problem("fiber/condvar", "turns by mutex and condition variable, ns one way", {"one_way_ns": "one way"}, FIBERS,
            "all", {}),
    Problem("fiber/work_queue", "a key added, got and done, ns", {
        "pairs_1_ns": "1 producer, 1 worker", "pairs_4_ns": "4 and 4"}, FIBERS, "all", {}),
    Problem("fiber/group", "children of a group, started and awaited, ns each", {
        "group_2_ns": "groups of 2", "wait_group_2_ns": "2 and a wait group",
        "group_1000_ns": "groups of 1,000", "wait_group_1000_ns": "1,000 and a wait group"}, [OURS, "go"], "all", {}),
    # Boost.Fiber has no lock for readers and writers.
    Problem("fiber/shared_mutex", "a lock for readers and writers, lock and unlock, ns", {
        "read_1_ns": "1 reader", "read_2_ns": "2 readers", "read_8_ns": "8 readers",
        "mixed_8_ns": "8 fibers, one time in 10 to write"}, [OURS, "go", "std_thread"], "all", {}),
    Problem("fiber/sleepers", "a million sleepers", {
        "sleep_cpu_ns": "processor time, ns a sleep", "late_50_us": "processors half busy: late by, us",
        "late_99_us": "99 %"}, [OURS, "go"], "all", {}),
    Problem("fiber/cold_reads", "64 fibers read 4 KiB each that is not in memory, ns a read", {
        "read_ns": "wall time", "read_cpu_ns": "processor time"}, [OURS, "heddle_calls", "go", "std_thread"], "all", {}),
    Problem("fiber/parked", "a million parked fibers", {
        "bytes": "bytes each", "create_ns": "create, ns each", "wake_ns": "wake all, ns each"},
            [OURS, "heddle_64k", SEGMENTED, SMALL, "boost_fiber", "go", "std_thread"], "most", MOST),
    Problem("fiber/parked_by_number", "parked fibers, by their number",
            series({"bytes": "bytes each", "create_ns": "create, ns", "wake_ns": "wake, ns"}, SIZES),
            [OURS, SEGMENTED, SMALL, "boost_fiber", "go", "std_thread"], "one", {}, LARGEST),
    Problem("fiber/growth", "code on stacks that grow, ns", {
        "down_ns": "10,000 frames down and up, a frame", "call_ns": "a call with a frame of 2 KiB",
        "fibonacci_ns": "recursion, a call", "tree_ns": "walk of a tree, a node"}, [OURS, SEGMENTED, "go"], "one", {}),
    Problem("digest", "SHA-256 of directory trees", {
        "wall_s": "wall time, s", "cpu_s": "CPU time, s", "memory_mib": "peak memory, MiB"},
            [OURS, "std_thread", "go", "xargs"], "most", {}),
]


def matching(pattern):
    """(problem, contenders) whose "problem/contender" matches the regular expression `pattern`."""
    for problem in PROBLEMS:
        chosen = [c for c in problem.contenders if pattern.search(f"{problem.name}/{c}")]
        if chosen:
            yield problem, chosen


def procs_of(problem, asked, full):
    """Switching needs one processor; what is long and hardly depends on their number runs on the most by default."""
    if problem.on == "one":
        return [1]
    if problem.on == "most" and not full:
        return [max(asked)]
    return asked


def unit_of(metric):
    metric = metric.rstrip("0123456789").rstrip("_")  # of a series
    for suffix, unit in (("_ns", "ns"), ("_us", "us"), ("_ms", "ms"), ("_s", "s"), ("_mib", "MiB"), ("bytes", "B")):
        if metric.endswith(suffix):
            return unit
    return ""


def sizes_of(problem, contender, full):
    """The sizes at which to run; of what is no series, one that is not said."""
    if not problem.largest:
        return [None]
    return [size for size in SIZES if size <= min(problem.largest[contender], 10**7 if full else 10**6)]


def command(problem, contender, build, procs, full, milliseconds, roots, size=None):
    """The command line of a contender and nothing else; a person can paste it."""
    line = [str(build / "perf" / problem.program / contender), "--procs", str(procs)]
    if size is not None:
        return line + ["--fibers", str(size)]
    if problem.name == "digest":
        return line + roots
    if full:
        line += problem.arguments.get(contender, [])
    return line + ["--ms", str(milliseconds)]
