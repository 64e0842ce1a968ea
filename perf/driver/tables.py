# SPDX-License-Identifier: BSL-1.0
"""Results as text: for the terminal and as Markdown."""
NOISY = 0.3  # a spread beyond this is marked


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


class Tables:
    """One table per problem: a row per processor count and metric, a column per contender."""

    def __init__(self, results):
        self.results = results
        self.footnotes = []

    def footnote(self, text):
        if text not in self.footnotes:
            self.footnotes.append(text)
        return self.footnotes.index(text) + 1

    def cell(self, problem, procs, contender, metric, with_range):
        key = (problem.name, procs, contender, metric)
        value = self.results.median(*key)
        if value is None:
            return "-"
        text = number(value)
        if self.results.spread(*key) > NOISY:
            text = "~" + text
        ratio = self.results.ratio(*key)
        if contender != self.results.baseline and ratio is not None:
            text += f" ({ratio:.2g}x)" if ratio < 10 else f" ({ratio:,.0f}x)"
        if with_range:
            values = self.results.samples[key]
            text += f" [{number(min(values))} - {number(max(values))}]"
        note = self.results.notes.get(key)
        return f"{text} ^{self.footnote(f'{contender}: {note}')}" if note else text

    def of(self, problem, with_range=False):
        """Rows of cells, the header first."""
        rows = [(procs, metric) for p, procs, metric in self.results.rows() if p is problem]
        contenders = [c for c in problem.contenders
                      if any(key[0] == problem.name and key[2] == c for key in self.results.samples)]
        table = [["P", "", *contenders]]
        for procs, metric in rows:
            cells = [self.cell(problem, procs, c, metric, with_range) for c in contenders]
            table.append([str(procs), problem.metrics[metric], *cells])
        return table

    def all(self, with_range=False):
        for problem in self.results.problems:
            table = self.of(problem, with_range)
            if len(table) > 1:
                yield problem, table

    def closing(self):
        """Footnotes, then what was skipped or failed."""
        for index, text in enumerate(self.footnotes, 1):
            yield f"^{index} {text}"
        for name, why in self.results.skipped.items():
            yield f"skipped: {name}: {why}"
        for name, why in self.results.failed.items():
            yield f"FAILED: {name}: {why}"


def legend(results):
    return (f"P: processors. Medians; in brackets how many times {results.baseline}'s figure. "
            f"~: the samples lie further apart than {NOISY:.0%} of the median.")


def for_terminal(results):
    tables = Tables(results)
    lines = []
    for problem, table in tables.all():
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += ["", f"{problem.name}: {problem.title}"]
        for row in table:
            cells = [row[1].ljust(widths[1]), *(c.rjust(w) for c, w in zip(row[2:], widths[2:]))]
            lines.append(f"  {row[0]}  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, "", legend(results), *tables.closing()])


def as_markdown(results, description, title="perf/run"):
    tables = Tables(results)
    lines = [f"# {title}", ""]
    lines += [f"- {name}: {value}" for group in ("machine", "versions") for name, value in description[group].items()]
    lines += [f"- commit: {description['commit']}", f"- date: {description['date']}", "",
              legend(results) + " In square brackets the smallest and the largest sample."]
    for problem, table in tables.all(with_range=True):
        lines += ["", f"## {problem.name}", f"{problem.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in table]
        lines.insert(len(lines) - len(table) + 1, "|" + "---|" * len(table[0]))
    return "\n".join([*lines, "", *(line + "  " for line in tables.closing())]) + "\n"
