# SPDX-License-Identifier: BSL-1.0
"""What heddle's servers and clients are asked for, in figures, and whether they give it."""
import dataclasses

from catalog import OURS, SEGMENTED
from net_catalog import DRAINS, GO, LIBRARIES, NGINX, THREADS
from tables import number


@dataclasses.dataclass
class Mark:
    problem: str
    metric: str
    title: str
    of: tuple  # times the best figure of these contenders; empty: the figure itself
    bound: float
    least: bool = False  # the bound is the least that is asked for, else the most
    ours: str = OURS

    def asked(self):
        whose = {0: "", 1: f" of {self.of[0]}'s" if self.of else ""}.get(
            len(self.of), f" of the better of {' and '.join(self.of)}")
        return f"{'>=' if self.least else '<='} {self.bound:g}{whose}"


def echo_marks(n):
    problem = f"echo/64B/{n}"
    return [Mark(problem, "calls", f"echo, {n:,}: system calls a request", (), 2.1),
            Mark(problem, "rate_k", f"echo, {n:,}: rate", (GO,), 1.3, least=True),
            Mark(problem, "rate_k", f"echo, {n:,}: rate", (DRAINS,), 1.05, least=True),
            Mark(problem, "p99_us", f"echo, {n:,}: 99 %", (GO, DRAINS), 1)]


def hello_marks(n):
    problem = f"http/hello/{n}"
    return [Mark(problem, "rate_k", f"hello, {n:,}: rate", NGINX, 1.1, least=True),
            Mark(problem, "rate_k", f"hello, {n:,}: rate", (GO,), 1.9, least=True),
            Mark(problem, "p99_us", f"hello, {n:,}: 99 %", (GO,), 0.5),
            Mark(problem, "rate_k", f"hello, {n:,}: Beast on use_fiber, rate", (OURS,), 0.8, least=True,
                 ours="beast_fiber")]


def library_marks(library):
    busy, paced = f"libraries/{library}/busy", f"libraries/{library}/paced"
    return [Mark(busy, "rate_k", f"{library}: rate", (THREADS,), 0.9, least=True),
            Mark(busy, "beat_99_us", f"{library}: others late by, 99 %, us", (), 1_000),
            Mark(paced, "beat_99_us", f"{library}, pauses of 100 ms: others late by, 99 %, us", (), 1_000)]


REST = "http/rest/10000"
MARKS = [
    *echo_marks(100), *echo_marks(1_000), *hello_marks(100), *hello_marks(1_000),
    Mark(REST, "rest_bytes", "10,000 at rest: bytes each", (), 5.5 * 1024),
    Mark(REST, "rest_bytes", "10,000 at rest: bytes each, stacks that grow", (), 2.5 * 1024, ours=SEGMENTED),
    Mark(REST, "rest_cpu_percent", "10,000 at rest: processor, percent", (), 0.1),
    Mark(REST, "first_us", "10,000 at rest: first answer, us", (), 1_000),
    *(mark for library in LIBRARIES for mark in library_marks(library)),
]


def evaluate(results, mark):
    """{"heddle", "other", "times", "reached"} of a mark; None: not measured."""
    ours = results.median(mark.problem, 1, mark.ours, mark.metric)
    others = [results.median(mark.problem, 1, contender, mark.metric) for contender in mark.of]
    others = [value for value in others if value]
    other = (max if mark.least else min)(others) if others else None
    times = ours / other if ours is not None and other else None
    value = times if mark.of else ours
    reached = None if value is None else value >= mark.bound if mark.least else value <= mark.bound
    return {"heddle": ours, "other": other, "times": times, "reached": reached}


def evaluated(results):
    measured = {key[0] for key in results.samples}
    return [(mark, evaluate(results, mark)) for mark in MARKS if mark.problem in measured]


def cell(value):
    return "-" if value is None else number(value)


def lines(results):
    """The table of the marks; empty if none was measured."""
    table = [["mark", "heddle", "other", "times", "asked", "reached"]]
    for mark, row in evaluated(results):
        reached = {None: "-", True: "reached", False: "NOT REACHED"}[row["reached"]]
        table.append([mark.title, *(cell(row[name]) for name in ("heddle", "other", "times")), mark.asked(), reached])
    if len(table) == 1:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["marks", *("  " + "  ".join(text.rjust(width) if i in (1, 2, 3) else text.ljust(width)
                                        for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in table)]


def as_json(results):
    return [{"mark": mark.title, "asked": mark.asked(), **row} for mark, row in evaluated(results)]
