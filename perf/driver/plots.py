# SPDX-License-Identifier: BSL-1.0
"""Results as pictures: one SVG per problem, and one of all ratios."""
from catalog import OURS, unit_of

COLOURS = {OURS: "#1b7837", "heddle_segmented": "#5aae61", "heddle_1k": "#a6dba0", "boost_fiber": "#b2a1c7",
           "go": "#4a90c2", "std_thread": "#bdbdbd", "xargs": "#d9a066",
           "jemalloc": "#d9a066", "glibc": "#bdbdbd", "mimalloc": "#4a90c2", "gperftools": "#b2a1c7"}


def draw(results, folder):
    """Writes <problem>.svg and ratios.svg into the folder; returns why not, if matplotlib is missing."""
    try:
        import matplotlib
        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        return "no plots: python3-matplotlib is missing"
    for problem in results.problems:
        rows = [(procs, metric) for p, procs, metric in results.rows() if p is problem]
        if rows and problem.largest:
            draw_series(pyplot, results, problem, rows, folder / (problem.name.replace("/", "_") + ".svg"))
        elif rows:
            draw_problem(pyplot, results, problem, rows, folder / (problem.name.replace("/", "_") + ".svg"))
    draw_ratios(pyplot, results, folder / "ratios.svg")
    return None


def draw_problem(pyplot, results, problem, rows, path):
    """One panel of bars per metric and processor count, at most five side by side."""
    columns = min(len(rows), 5)
    lines = -(-len(rows) // columns)
    figure, panels = pyplot.subplots(lines, columns, figsize=(max(4.2, 3.2 * columns), 0.4 + 2.8 * lines), squeeze=False)
    figure.suptitle(f"{problem.name}: {problem.title}", fontsize=10)
    for panel in panels.flat[len(rows):]:
        panel.set_axis_off()
    for panel, (procs, metric) in zip(panels.flat, rows):
        bars = [(c, results.median(problem.name, procs, c, metric)) for c in problem.contenders]
        bars = [(c, value) for c, value in reversed(bars) if value is not None]
        panel.barh([c for c, _ in bars], [value for _, value in bars], color=[COLOURS.get(c, "#999999") for c, _ in bars])
        largest, smallest = max(v for _, v in bars), min(v for _, v in bars)
        if smallest > 0 and largest / smallest > 20:
            panel.set_xscale("log")
        for index, (_, value) in enumerate(bars):
            panel.annotate(f" {value:,.3g}", (value, index), va="center", fontsize=7)
        panel.set_title(f"{problem.metrics[metric]}, P={procs}", fontsize=8)
        panel.set_xlabel(unit_of(metric), fontsize=7)
        panel.margins(x=0.3)
        panel.tick_params(labelsize=7)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.2 / (0.4 + 2.8 * lines)))
    figure.savefig(path)
    pyplot.close(figure)


def draw_series(pyplot, results, problem, rows, path):
    """One panel per quantity: its course over the sizes, a line per contender."""
    quantities = list(dict.fromkeys(metric.rsplit("_", 1)[0] for _, metric in rows))
    figure, panels = pyplot.subplots(1, len(quantities), figsize=(4.2 * len(quantities), 3.6), squeeze=False)
    figure.suptitle(f"{problem.name}: {problem.title}", fontsize=10)
    for panel, quantity in zip(panels[0], quantities):
        for contender in problem.contenders:
            points = [(int(metric.rsplit("_", 1)[1]), results.median(problem.name, procs, contender, metric))
                      for procs, metric in rows if metric.rsplit("_", 1)[0] == quantity]
            points = sorted((size, value) for size, value in points if value is not None)
            if points:
                panel.plot(*zip(*points), marker="o", markersize=3, color=COLOURS.get(contender, "#999999"),
                           label=contender)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_title(f"{quantity.removesuffix('_ns')} each", fontsize=8)
        panel.set_xlabel("fibers", fontsize=7)
        panel.set_ylabel(unit_of(quantity), fontsize=7)
        panel.tick_params(labelsize=7)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="center right", fontsize=7)
    figure.tight_layout(rect=(0, 0, 0.89, 1))
    figure.savefig(path)
    pyplot.close(figure)


def draw_ratios(pyplot, results, path):
    """Every contender's figure as a multiple of the baseline's."""
    rows = [(p, procs, m) for p, procs, m in results.rows()
            if not p.largest and results.median(p.name, procs, results.baseline, m)]
    if not rows:
        return
    figure, panel = pyplot.subplots(figsize=(8, 1 + 0.28 * len(rows)))
    names = [f"{p.name} {p.metrics[m]} P={procs}" for p, procs, m in rows]
    for contender in dict.fromkeys(c for p, _, _ in rows for c in p.contenders):
        points = [(results.ratio(p.name, procs, contender, m), i) for i, (p, procs, m) in enumerate(rows)]
        points = [(ratio, i) for ratio, i in points if ratio and contender != results.baseline]
        if points:
            panel.scatter(*zip(*points), color=COLOURS.get(contender, "#999999"), label=contender, s=28)
    panel.axvline(1, color=COLOURS[results.baseline], label=results.baseline)
    panel.set_xscale("log")
    panel.set_yticks(range(len(rows)), names, fontsize=7)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlabel(f"times {results.baseline}'s figure: to the right of the line {results.baseline} is better", fontsize=8)
    panel.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=6)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
