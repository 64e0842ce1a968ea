# SPDX-License-Identifier: BSL-1.0
"""What heddle's ways to reclaim memory are asked for, in figures, and whether they give it."""
import dataclasses

from catalog import OURS
from gc_catalog import GENERATIONAL, GENERATIONAL_1K, MANUAL, OUR_COUNTED, SHARED
from tables import number


@dataclasses.dataclass
class Mark:
    problem: str
    metric: str
    title: str
    against: str  # whose figure is multiplied: a contender; "manual": the best malloc of the row; "": nobody's, the bound counts
    bound: float
    procs: int | None = None  # None: all that were measured
    least: bool = False  # the bound is the least that is asked for, else the most
    contender: str = OURS

    def asked(self):
        return f"{'>=' if self.least else '<='} {self.bound:g}{' of it' if self.against else ''}"


MARKS = [
    Mark("gc/binary_trees_18", "wall_ms", "binary-trees 18, time, ms", "go", 0.45),
    Mark("gc/binary_trees_18", "memory_mib", "binary-trees 18, peak memory, MiB", "go", 1.3),
    Mark("gc/gcbench", "wall_ms", "GCBench, time, ms", "go", 0.5),
    Mark("gc/allocation", "object_16_ns", "an object of 16 B, ns", "go", 0.65),
    Mark("gc/allocation", "object_64_ns", "an object of 64 B, ns", "go", 0.65),
    Mark("gc/live", "kops", "954 MiB live, thousand operations a second", "go", 1.35, least=True),
    Mark("gc/live", "operation_p9999_ns", "954 MiB live, p99.99 of operations, ns", "manual", 1.5),
    Mark("gc/live", "resident_over_live", "954 MiB live, resident memory, times live", "", 1.35),
    Mark("gc/live", "beat_p9999_ns", "954 MiB live, p99.99 of the heartbeat, ns", "", 60_000),
    Mark("gc/ring", "push_worst_ns", "ring, worst, ns", "manual", 1.5),
    Mark("gc/mark", "in_order_ns", "full mark in order, ns an object", "", 8, procs=1),
    Mark("gc/mark", "shuffled_ns", "full mark shuffled, ns an object", "", 30, procs=1),
    Mark("gc/pointer_store", "idle_ns", "store of an address, idle, ns", "", 1.3),
    Mark("gc/pointer_store", "marking_ns", "store of an address, while collected, ns", "", 2.5),
    Mark("gc/parked", "beat_worst_ns", "a million parked fibers, heartbeat, worst, ns", "", 100_000),
    Mark("gc/copy_drop", "owner_ns", "a copy dropped by the owner, ns", "", 1.5, contender=OUR_COUNTED),
    Mark("gc/copy_drop", "other_ns", "a copy dropped by another thread, ns", SHARED, 1, contender=OUR_COUNTED),
    Mark("gc/binary_trees_18", "wall_ms", "binary-trees 18, time, ms", SHARED, 0.6, contender=OUR_COUNTED),
    Mark("gc/binary_trees_18", "memory_mib", "binary-trees 18, peak memory, MiB", SHARED, 0.6, contender=OUR_COUNTED),
    Mark("gc/binary_trees_18", "cpu_s", "binary-trees 18, user+sys, s", OURS, 0.7, contender=GENERATIONAL),
    Mark("gc/lru_cache", "cpu_s", "LRU cache, user+sys, s", OURS, 0.7, contender=GENERATIONAL),
    Mark("gc/live", "kops", "954 MiB live, thousand operations a second", OURS, 1.25, least=True,
         contender=GENERATIONAL),
    Mark("gc/live", "operation_p9999_ns", "954 MiB live, p99.99 of operations, ns", OURS, 1, contender=GENERATIONAL),
    Mark("gc/pointer_store", "idle_ns", "store of an address, idle, ns", "", 1.5, contender=GENERATIONAL),
    *(Mark("gc/parked", "young_cpu_ms", "a million parked fibers, a young cycle, processor time, ms", "", 30, contender=c)
      for c in (GENERATIONAL, GENERATIONAL_1K)),
    *(Mark("gc/parked", "young_beat_worst_ns", "the same, heartbeat, worst, ns", "", 100_000, contender=c)
      for c in (GENERATIONAL, GENERATIONAL_1K)),
]


def figure_of(results, mark, procs, contender):
    """The median of a contender, or of the malloc that is best in this row; None: not measured."""
    values = [results.median(mark.problem, procs, one, mark.metric)
              for one in (MANUAL if contender == "manual" else (contender,))]
    values = [value for value in values if value is not None]
    return (max if mark.least else min)(values) if values else None


def evaluate(results, mark, procs):
    """{"contender", "figure", "against", "its_figure", "ratio", "reached"} of a mark; None: not measured."""
    figure = figure_of(results, mark, procs, mark.contender)
    other = figure_of(results, mark, procs, mark.against) if mark.against else None
    ratio = figure / other if figure is not None and other else None
    value = ratio if mark.against else figure
    reached = None if value is None else value >= mark.bound if mark.least else value <= mark.bound
    return {"contender": mark.contender, "figure": figure, "against": mark.against or None, "its_figure": other,
            "ratio": ratio, "reached": reached}


def evaluated(results):
    """(mark, procs, row) of each mark whose problem was measured with the contender that it is about."""
    for mark in MARKS:
        for procs in sorted({key[1] for key in results.samples
                             if key[0] == mark.problem and key[2] == mark.contender and key[3] == mark.metric}):
            if mark.procs in (None, procs):
                yield mark, procs, evaluate(results, mark, procs)


def cell(value):
    return "-" if value is None else value if isinstance(value, str) else number(value)


def lines(results, scale):
    """The table of the marks; empty if none was measured. `scale`: quick, usual or full."""
    table = [["P", "mark", "contender", "figure", "against", "its figure", "ratio", "asked", "reached"]]
    for mark, procs, row in evaluated(results):
        values = [cell(row[name]) for name in ("contender", "figure", "against", "its_figure", "ratio")]
        reached = {None: "-", True: "yes", False: "NO"}[row["reached"]]
        table.append([str(procs), mark.title, *values, mark.asked(), reached])
    if len(table) == 1:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    less = "; --quick: on less work than they are meant for" if scale == "quick" else ""
    return [f"marks (manual: the best malloc of the row, freed by hand{less})", *(
        "  " + "  ".join(text.rjust(width) if i in (3, 5, 6) else text.ljust(width)
                         for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in table)]


def as_json(results):
    return [{"mark": mark.title, "procs": procs, "asked": mark.asked(), **row}
            for mark, procs, row in evaluated(results)]
