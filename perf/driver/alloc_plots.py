# SPDX-License-Identifier: BSL-1.0
"""Pictures of what only allocators have: the means as bars, memory over time."""
import re

import alloc_summary
import plots
from alloc_catalog import WORKLOADS


def draw(results, folder):
    """Writes the plots into the folder; returns why not, if matplotlib is missing."""
    problem = plots.draw(results, folder)
    if problem is None:
        from matplotlib import pyplot
        draw_means(pyplot, results, folder / "means.svg")
        for name, title in (("time", "time"), ("peak memory", "peak memory")):
            draw_bars(pyplot, results, name, title, folder / f"{name.replace(' ', '_')}.svg")
        draw_memory(pyplot, results, folder / "memory_over_time.svg")
    return problem


def colour(contender):
    return plots.COLOURS.get(contender, "#999999")


def draw_means(pyplot, results, path):
    """A group of bars per quantity."""
    table = alloc_summary.means(results)
    names = [name for name in (*alloc_summary.QUANTITIES, "micro, time") if any(name in row for row in table.values())]
    if not names or not table:
        return
    figure, panel = pyplot.subplots(figsize=(2 + 1.8 * len(names), 3.2))
    width = 0.8 / len(table)
    for index, (contender, row) in enumerate(table.items()):
        bars = [(i + index * width, row[name][0]) for i, name in enumerate(names) if name in row]
        if bars:
            panel.bar(*zip(*bars), width, color=colour(contender), label=contender)
    finish(panel, results, [i + 0.4 - width / 2 for i in range(len(names))], names)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def draw_bars(pyplot, results, quantity, title, path):
    """The ratios of one quantity, a group of bars per row."""
    names = alloc_summary.contenders(results)
    values = {c: {(p.name, procs): r for p, procs, _, r in alloc_summary.ratios(
        results, WORKLOADS, c, alloc_summary.QUANTITIES[quantity])} for c in names}
    rows = list(dict.fromkeys(key for one in values.values() for key in one))
    if not rows:
        return
    figure, panel = pyplot.subplots(figsize=(max(5, 0.55 * len(rows)), 3.8))
    width = 0.8 / len(names)
    for index, contender in enumerate(names):
        bars = [(i + index * width, values[contender][key]) for i, key in enumerate(rows) if key in values[contender]]
        if bars:
            panel.bar(*zip(*bars), width, color=colour(contender), label=contender)
    panel.set_yscale("log")
    panel.set_title(title, fontsize=9)
    finish(panel, results, [i + 0.4 - width / 2 for i in range(len(rows))],
           [f"{name.removeprefix('alloc/')}, P={procs}" for name, procs in rows], rotation=60)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def finish(panel, results, ticks, labels, rotation=0):
    panel.axhline(1, color="#444444", linewidth=0.8)
    panel.set_xticks(ticks, labels, fontsize=7, rotation=rotation, ha="right" if rotation else "center")
    panel.tick_params(axis="y", labelsize=7)
    panel.set_ylabel(f"times {results.baseline}'s: less is better", fontsize=7)
    panel.legend(fontsize=7)


def moments(results, contender, state):
    """(seconds, MiB) of fragmentation's samples."""
    found = []
    for problem, procs, name, metric in results.samples:
        match = re.fullmatch(rf"{state}_(\d+)_mib", metric)
        if problem == "alloc/fragmentation" and name == contender and match:
            found.append((int(match.group(1)) / 1000, results.median(problem, procs, name, metric)))
    return sorted(found)


def draw_memory(pyplot, results, path):
    """Resident memory while nothing happens, with a tenth of the heap live and with nothing."""
    names = [c for c in alloc_summary.contenders(results) if moments(results, c, "tenth")]
    if not names:
        return
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for panel, state, title in zip(panels, ("tenth", "freed"), ("nine tenths freed at random", "all freed")):
        for contender in names:
            panel.plot(*zip(*moments(results, contender, state)), color=colour(contender), label=contender)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("seconds since", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].set_ylabel("resident, MiB", fontsize=8)
    panels[0].set_ylim(bottom=0)
    panels[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
