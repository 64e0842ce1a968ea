# SPDX-License-Identifier: BSL-1.0
"""Pictures of what only collectors have: the heap over time, the distribution of waits."""
import plots
from catalog import OURS
from gc_catalog import CONTENDERS, QUANTILES

COLOURS = {**plots.COLOURS, "heddle_generational": "#006837", "heddle_counted": "#78c679",
           "heddle_malloc": "#a6dba0", "shared_ptr": "#b2a1c7", "intrusive_ptr": "#7b6aa0", "boehm": "#c0504d",
           "boehm_generational": "#e0a09e", "java": "#8c6d31", "java_shenandoah": "#bd9e39", "java_zgc": "#e7cb94"}
DISTRIBUTIONS = [("gc/ring", "push"), ("gc/live", "operation"), ("gc/live", "beat"), ("gc/parked", "beat")]


def draw(results, folder):
    """Writes the plots into the folder; returns why not, if matplotlib is missing."""
    plots.COLOURS.update(COLOURS)
    problem = plots.draw(results, folder)
    if problem is None:
        from matplotlib import pyplot
        draw_heaps(pyplot, results, folder / "heap_over_time.svg")
        draw_waits(pyplot, results, folder / "waits.svg")
    return problem


def panels_for(pyplot, count):
    """As many panels, at most three side by side."""
    columns = min(count, 3)
    lines = -(-count // columns)
    figure, panels = pyplot.subplots(lines, columns, figsize=(4.2 * columns + 1.2, 3.2 * lines), squeeze=False)
    for panel in panels.flat[count:]:
        panel.set_axis_off()
    return figure, list(panels.flat[:count])


def finish(pyplot, figure, panels, path):
    """One legend for all."""
    found = {}
    for panel in panels:
        panel.tick_params(labelsize=7)
        found.update((label, handle) for handle, label in zip(*panel.get_legend_handles_labels()))
    names = [name for name in CONTENDERS if name in found]
    figure.legend([found[name] for name in names], names, loc="center right", fontsize=7)
    width = figure.get_size_inches()[0]
    figure.tight_layout(rect=(0, 0, 1 - 1.1 / width, 1))
    figure.savefig(path)
    pyplot.close(figure)


def width_of(contender):
    return 1.8 if contender == OURS else 1.0


def draw_heaps(pyplot, results, path):
    """Resident memory over time: the first round of each problem, at each number of processors."""
    rows = list(dict.fromkeys((problem, procs) for problem, procs, _ in results.courses))
    if not rows:
        return
    figure, panels = panels_for(pyplot, len(rows))
    for panel, (problem, procs) in zip(panels, rows):
        for contender in CONTENDERS:
            course = results.courses.get((problem, procs, contender))
            if course and course.points:
                panel.plot(*zip(*course.points), color=COLOURS[contender], label=contender,
                           linewidth=width_of(contender))
        panel.set_title(f"{problem}, P={procs}", fontsize=8)
        panel.set_xlabel("seconds", fontsize=7)
        panel.set_ylabel("resident, MiB", fontsize=7)
        panel.set_ylim(bottom=0)
    finish(pyplot, figure, panels, path)


def draw_waits(pyplot, results, path):
    """The time that a share of all does not exceed, both axes logarithmic."""
    rows = [(problem, procs, what) for problem, what in DISTRIBUTIONS
            for procs in sorted({key[1] for key in results.samples if key[:1] == (problem,)})]
    if not rows:
        return
    figure, panels = panels_for(pyplot, len(rows))
    names = [share if quantile != "worst" else "worst" for quantile, share in QUANTILES.items()]
    for panel, (problem, procs, what) in zip(panels, rows):
        for contender in CONTENDERS:
            values = [results.median(problem, procs, contender, f"{what}_{quantile}_ns") for quantile in QUANTILES]
            points = [(i, value / 1e3) for i, value in enumerate(values) if value]
            if points:
                panel.plot(*zip(*points), marker="o", markersize=3, color=COLOURS[contender], label=contender,
                           linewidth=width_of(contender))
        panel.set_yscale("log")
        panel.set_xticks(range(len(names)), names, fontsize=7)
        panel.set_title(f"{problem}: {what}, P={procs}", fontsize=8)
        panel.set_ylabel("microseconds at most", fontsize=7)
    finish(pyplot, figure, panels, path)
