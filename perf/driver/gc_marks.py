# SPDX-License-Identifier: BSL-1.0
"""What heddle's collector is asked for, in figures, and whether it gives it."""
import dataclasses

from catalog import OURS
from gc_catalog import GO, MANUAL
from tables import number


@dataclasses.dataclass
class Mark:
    problem: str
    metric: str
    title: str
    of: str  # "go", "manual": times its figure; "": the figure itself
    bound: float
    procs: int | None = None  # None: all that were measured
    least: bool = False  # the bound is the least that is asked for, else the most

    def asked(self):
        whose = {"go": " of Go's", "manual": " of manual free's"}.get(self.of, "")
        return f"{'>=' if self.least else '<='} {self.bound:g}{whose}"


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
]


def manual_median(results, mark, procs):
    """The figure of the malloc that is best in this row, or None."""
    values = [results.median(mark.problem, procs, contender, mark.metric) for contender in MANUAL]
    values = [value for value in values if value is not None]
    return (max if mark.least else min)(values) if values else None


def evaluate(results, mark, procs):
    """{"heddle", "go", "manual", "of_go", "of_manual", "reached"} of a mark; None: not measured."""
    ours = results.median(mark.problem, procs, OURS, mark.metric)
    row = {"heddle": ours, "go": results.median(mark.problem, procs, GO, mark.metric),
           "manual": manual_median(results, mark, procs)}
    for name in ("go", "manual"):
        row[f"of_{name}"] = ours / row[name] if ours is not None and row[name] else None
    value = row[f"of_{mark.of}"] if mark.of else ours
    row["reached"] = None if value is None else value >= mark.bound if mark.least else value <= mark.bound
    return row


def evaluated(results):
    """(mark, procs, row) of each mark whose problem was measured."""
    for mark in MARKS:
        for procs in sorted({key[1] for key in results.samples if key[0] == mark.problem and key[3] == mark.metric}):
            if mark.procs in (None, procs):
                yield mark, procs, evaluate(results, mark, procs)


def cell(value):
    return "-" if value is None else number(value)


def lines(results):
    """The table of the marks; empty if none was measured."""
    table = [["P", "mark", "heddle", "Go", "manual free", "x Go", "x manual", "asked", "reached"]]
    for mark, procs, row in evaluated(results):
        values = [cell(row[name]) for name in ("heddle", "go", "manual", "of_go", "of_manual")]
        reached = {None: "-", True: "yes", False: "NO"}[row["reached"]]
        table.append([str(procs), mark.title, *values, mark.asked(), reached])
    if len(table) == 1:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["marks (manual free: the best malloc of the row)", *(
        "  " + "  ".join(text.ljust(width) if i in (0, 1, 7, 8) else text.rjust(width)
                         for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in table)]


def as_json(results):
    return [{"mark": mark.title, "procs": procs, "asked": mark.asked(), **row}
            for mark, procs, row in evaluated(results)]
