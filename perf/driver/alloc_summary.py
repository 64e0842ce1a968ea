# SPDX-License-Identifier: BSL-1.0
"""What it comes to: geometric means against the baseline, and where heddle is slower."""
import math

from alloc_catalog import INSTRUCTIONS, MICRO, WORKLOADS
from allocators import BASELINE
from catalog import OURS

QUANTITIES = {"time": ("operation_ns", "wall_s"), "user+sys": ("cpu_s",), "peak memory": ("memory_mib",)}


def ratios(results, problems, contender, metrics=None):
    """(problem, procs, metric, ratio to the baseline) of each row that both have."""
    for problem, procs, metric in results.rows():
        if problem in problems and (metrics is None or metric in metrics):
            ratio = results.ratio(problem.name, procs, contender, metric)
            if ratio:
                yield problem, procs, metric, ratio


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def contenders(results):
    return list(dict.fromkeys(key[2] for key in results.samples))


def means(results):
    """contender -> {quantity: (geometric mean, number of rows)}; micro benchmarks stand apart: many are of one kind."""
    table = {}
    for contender in contenders(results):
        rows = {name: [r for *_, r in ratios(results, WORKLOADS, contender, metrics)]
                for name, metrics in QUANTITIES.items()}
        rows["micro, time"] = [r for *_, r in ratios(results, MICRO, contender)]
        rows["instructions"] = [r for *_, r in ratios(results, [INSTRUCTIONS], contender)]
        table[contender] = {name: (mean(values), len(values)) for name, values in rows.items() if values}
    return table


def slower(results, contender=OURS):
    """(problem, procs, metric, ratio, sure) of the timed rows in which it takes longer than the baseline, the worst
    first; sure if the two ranges of samples do not touch."""
    timed = QUANTITIES["time"]
    rows = [*ratios(results, WORKLOADS, contender, timed), *ratios(results, MICRO, contender)]
    found = []
    for problem, procs, metric, ratio in rows:
        if ratio > 1:
            own = results.samples[problem.name, procs, contender, metric]
            base = results.samples[problem.name, procs, BASELINE, metric]
            found.append((problem, procs, metric, ratio, min(own) > max(base)))
    return sorted(found, key=lambda row: -row[3])


def mean_lines(results):
    table = means(results)
    names = [name for name in (*QUANTITIES, "micro, time", "instructions")
             if any(name in row for row in table.values())]
    if not names or BASELINE not in table:
        return [f"no means: {BASELINE} was not measured"]
    cells = [["", *table], *([name, *(f"{row[name][0]:.2f} ({row[name][1]})" if name in row else "-"
                                      for row in table.values())] for name in names)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [f"geometric means against {BASELINE} = 1, in brackets the number of rows", *(
        "  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        for row in cells)]


def slower_lines(results):
    if OURS not in contenders(results):
        return [f"{OURS} was not measured"]
    rows = slower(results)
    if not rows:
        return [f"{OURS} is slower than {BASELINE} in no row"]
    return [f"{OURS} is slower than {BASELINE} in {len(rows)} rows (~: the samples overlap):", *(
        f"  {'' if sure else '~'}{ratio:.2f}x  {problem.name}  {problem.metrics[metric]}, P={procs}"
        for problem, procs, metric, ratio, sure in rows)]


def lines(results):
    return [*mean_lines(results), "", *slower_lines(results)]


def as_json(results):
    return {
        "baseline": BASELINE,
        "means": {contender: {name: {"mean": value, "rows": count} for name, (value, count) in row.items()}
                  for contender, row in means(results).items()},
        "slower": [{"problem": problem.name, "procs": procs, "metric": metric, "ratio": ratio, "sure": sure}
                   for problem, procs, metric, ratio, sure in slower(results)],
    }
