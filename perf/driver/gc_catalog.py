# SPDX-License-Identifier: BSL-1.0
"""What there is to measure of collectors: the problems of perf/gc and their contenders."""
import dataclasses

from catalog import OURS, Problem

GENERATIONAL, OUR_COUNTED = "heddle_generational", "heddle_counted"
GENERATIONAL_1K, GENERATIONAL_64K = "heddle_1k_generational", "heddle_64k_generational"  # by stacks of fibers
MANUAL = ("heddle_malloc", "jemalloc", "glibc")  # malloc and free by hand
SHARED = "shared_ptr"
COUNTED = (SHARED, "intrusive_ptr")  # counts, on the malloc that is preloaded
GO = "go"
JAVA = ("java", "java_shenandoah", "java_zgc")
CONTENDERS = (OURS, GENERATIONAL, OUR_COUNTED, *MANUAL, *COUNTED, "boehm", "boehm_generational", GO, *JAVA)
NOT_IN_JAVA = tuple(c for c in CONTENDERS if c not in JAVA)
STORED = tuple(c for c in NOT_IN_JAVA if c != OUR_COUNTED)  # copy_drop times counted pointers
COLLECTORS = (OURS, GENERATIONAL, "boehm", "boehm_generational", GO, *JAVA)
NOT_QUICK = ("intrusive_ptr", "boehm_generational", *JAVA[1:])

QUANTILES = {"p50": "50 %", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "p9999": "99.99 %", "worst": "worst"}
OUTSIDE = {"cpu_s": "user+sys, s", "memory_mib": "peak memory, MiB"}


def waits(what, title):
    """The metrics of a distribution, as the programs print it: the time that so many do not exceed."""
    return {f"{what}_{quantile}_ns": f"{title}, {share}, ns" for quantile, share in QUANTILES.items()}


@dataclasses.dataclass
class Work:
    """How much is measured at once: the arguments, and how many rounds at most."""
    arguments: list
    rounds: int = 99


@dataclasses.dataclass
class Collected(Problem):
    folder: str = ""  # of the programs
    work: dict = dataclasses.field(default_factory=dict)  # "quick", "usual", "full" -> Work; none: not measured then


def problem(name, title, metrics, work, on="all", contenders=CONTENDERS, folder=None):
    return Collected(f"gc/{name}", title, {**metrics, **OUTSIDE}, list(contenders), on, {},
                     folder=f"gc/{folder or name}", work=work)


def always(*arguments):
    return {scale: Work(list(arguments)) for scale in ("quick", "usual", "full")}


def trees(depth, work):
    return problem(f"binary_trees_{depth}", f"trees up to depth {depth} beside one that stays", {"wall_ms": "time, ms"},
                   work, folder="binary_trees")


PROBLEMS = [
    trees(16, always("--depth", "16")),
    trees(18, always("--depth", "18")),
    trees(20, {"usual": Work(["--depth", "20"], 3), "full": Work(["--depth", "20"], 5)}),
    problem("gcbench", "GCBench: trees from the top and from the bottom", {"wall_ms": "time, ms"}, always()),
    problem("allocation", "an object, all included, ns",
            {f"object_{size}_ns": f"{size} B" for size in (16, 32, 64)},
            {"quick": Work(["--objects", "5000000"]), "usual": Work([]), "full": Work(["--objects", "50000000"])}),
    problem("copy_drop", "a pointer copied and dropped, ns", {
        "owner_ns": "by the maker's thread", "other_ns": "by another thread"}, always(), "most",
            (OUR_COUNTED, *COUNTED)),
    problem("ring", "200,000 messages of 1 KiB; one is added, the oldest goes",
            {"wall_ms": "time, ms", **waits("push", "a message")},
            {"quick": Work(["--messages", "500000"]), "usual": Work([]), "full": Work(["--messages", "5000000"])}),
    problem("live", "954 MiB live, every processor saturated, a heartbeat", {
        "kops": "thousand operations a second", "resident_over_live": "resident memory, times live",
        **waits("operation", "an operation"), **waits("beat", "heartbeat late")},
            {"quick": Work(["--seconds", "2"], 1), "usual": Work([], 3), "full": Work(["--seconds", "10"], 5)}, "most"),
    problem("mark", "a full collection of 8 million objects of 64 B, ns each", {
        "in_order_ns": "in order", "shuffled_ns": "shuffled"}, always(), contenders=COLLECTORS),
    problem("pointer_store", "a store of an address into an object, ns", {
        "idle_ns": "idle", "marking_ns": "while collected", "marking_mean_ns": "the same, stops included"},
            {"quick": Work(["--collections", "5"]), "usual": Work([]), "full": Work([])}, "most", STORED),
    problem("lru_cache", "a cache of 500,000 entries, all from one thread", {
        "operation_ns": "a get, put if missed, ns", "hits_percent": "hits, percent"},
            {"quick": Work(["--operations", "2000000"]), "usual": Work([]), "full": Work(["--operations", "20000000"])},
            contenders=NOT_IN_JAVA),
    problem("json_tree", "documents parsed into trees that know their parents, and walked, ns a node", {
        "parse_ns": "parse", "walk_ns": "walk"},
            {"quick": Work(["--documents", "3"]), "usual": Work([]), "full": Work(["--documents", "30"])},
            contenders=NOT_IN_JAVA),
    problem("parked", "collections beside parked fibers that hold an object each: a million, with --quick a tenth of that", {
        "bytes": "memory of each, bytes", "fiber_ns": "a full collection, ns a fiber",
        **waits("beat", "heartbeat late"),
        "young_ms": "a young one, ms", "young_cpu_ms": "its processor time, ms",
        "young_passed_over": "fibers that it passes over", **waits("young_beat", "heartbeat late beside young ones")},
            {"quick": Work(["--fibers", "100000"], 1), "usual": Work([], 3), "full": Work([], 5)}, "most",
            (OURS, GENERATIONAL, "heddle_64k", GENERATIONAL_64K, "heddle_1k", GENERATIONAL_1K, GO)),
]


def matching(pattern, scale):
    """(problem, contenders) of what --only matches and this scale measures."""
    for one in PROBLEMS:
        chosen = [c for c in one.contenders
                  if pattern.search(f"{one.name}/{c}") and not (scale == "quick" and c in NOT_QUICK)]
        if chosen and scale in one.work:
            yield one, chosen


def program(one, contender, build):
    """The file that a contender is: all that free by hand are the same."""
    return build / "perf" / one.folder / ("manual" if contender in MANUAL else contender)


def command(one, contender, build, procs, scale):
    """The command line without the environment."""
    return [str(program(one, contender, build)), "--procs", str(procs), *one.work[scale].arguments]
