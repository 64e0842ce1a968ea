# SPDX-License-Identifier: BSL-1.0
"""Samples, and what is made of them."""
import collections
import statistics

from catalog import OURS, PROBLEMS, unit_of


class Results:
    def __init__(self, problems=PROBLEMS, baseline=OURS):
        self.problems = problems
        self.baseline = baseline  # the contender that ratios refer to
        self.samples = collections.defaultdict(list)  # (problem, procs, contender, metric) -> values
        self.notes = {}  # the same key -> text
        self.skipped = {}  # "problem/contender" -> why
        self.failed = {}  # "problem/contender on N" -> why

    def add(self, problem, procs, contender, metrics, notes):
        for metric, value in metrics.items():
            self.samples[problem, procs, contender, metric].append(value)
        for metric, note in notes.items():
            self.notes[problem, procs, contender, metric] = note

    def median(self, *key):
        values = self.samples.get(key)
        return statistics.median(values) if values else None

    def spread(self, *key):
        """(largest - smallest) / median: how far the samples can be trusted."""
        values = self.samples[key]
        middle = statistics.median(values)
        return (max(values) - min(values)) / middle if middle else 0.0

    def ratio(self, problem, procs, contender, metric):
        """How many times the baseline's figure the contender has: above 1, the baseline is better."""
        base = self.median(problem, procs, self.baseline, metric)
        theirs = self.median(problem, procs, contender, metric)
        return theirs / base if base and theirs is not None else None

    def rows(self):
        """(problem, procs, metric) of everything measured, in the order of the catalog."""
        for problem in self.problems:
            measured = [key for key in self.samples if key[0] == problem.name]
            for procs in sorted({key[1] for key in measured}):
                for metric in problem.metrics:
                    if any(key[1] == procs and key[3] == metric for key in measured):
                        yield problem, procs, metric

    def as_json(self, description, options):
        return {
            "format": 1, **description, "options": options,
            "results": [self.entry(*key) for key in self.samples],
            "skipped": self.skipped, "failed": self.failed,
        }

    def entry(self, problem, procs, contender, metric):
        key = (problem, procs, contender, metric)
        values = self.samples[key]
        return {
            "problem": problem, "procs": procs, "contender": contender, "metric": metric, "unit": unit_of(metric),
            "median": statistics.median(values), "min": min(values), "max": max(values),
            "ratio": self.ratio(*key), "note": self.notes.get(key), "samples": values,
        }
