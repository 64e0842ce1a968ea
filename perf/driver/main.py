# SPDX-License-Identifier: BSL-1.0
"""Measures heddle beside its contenders; perf/run builds everything and calls this."""
import argparse
import json
import os
import pathlib
import re
import sys

import alloc_main
import catalog
import child
import compare
import digest
import gc_main
import machine
import net_main
import option_types
import plots
import results
import tables
from progress import Progress

FEWEST_ROUNDS = 5


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="perf/run", description="Builds heddle's benchmarks and measures them beside their contenders.",
        epilog="`perf/run alloc` compares allocators, `perf/run gc` collectors, `perf/run echo` and `perf/run http` "
               "servers, `perf/run libraries` C libraries; their --help says how. perf/run also knows "
               "--no-install: list missing packages and exit with 3 instead of installing them.")
    parser.add_argument("--only", type=option_types.regular_expression, default=re.compile(""), metavar="REGEX",
                        help="what to measure, by problem/contender as --list prints them (searched, not anchored)")
    parser.add_argument("--list", action="store_true", help="print every problem/contender and stop")
    parser.add_argument("--procs", type=option_types.processor_counts, metavar="N,...",
                        default=sorted({1, min(2, len(os.sched_getaffinity(0)))}),
                        help="numbers of processors (default: 1 and 2)")
    parser.add_argument("--rounds", type=option_types.round_count, help=f"samples of each figure (default: {FEWEST_ROUNDS}, "
                        "with --full 9)")
    parser.add_argument("--full", action="store_true",
                        help="more rounds, the largest sizes for contenders that need long for them, and every problem "
                             "at every number of processors")
    parser.add_argument("--roots", nargs="+", default=["/usr/include", "/usr/lib"], metavar="DIR",
                        help="what digest reads (default: /usr/include /usr/lib)")
    parser.add_argument("--build", type=pathlib.Path, default=catalog.ROOT / "build" / "perf", metavar="DIR",
                        help="where to build (default: build/perf)")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="where results go (default: results in --build)")
    parser.add_argument("--compare", nargs=2, metavar=("OLD", "NEW"),
                        help="compare heddle's figures in two results.json and stop")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # perf/run: are the options good?
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (9 if options.full else FEWEST_ROUNDS)
    options.out = options.out or options.build / "results"
    options.chosen = list(catalog.matching(options.only))
    if not options.chosen:
        parser.error(f"--only '{options.only.pattern}' matches none of what --list prints")
    if options.rounds < FEWEST_ROUNDS:
        print(f"note: a median of {options.rounds} says little; at least {FEWEST_ROUNDS} rounds are advised",
              file=sys.stderr)
    return options


class Session:
    """One call of perf/run: measures what was chosen, round by round."""

    def __init__(self, options):
        self.options = options
        self.results = results.Results()
        self.reference = digest.Reference(options.roots)
        self.milliseconds = 100 if options.full else 30
        self.plan = [(p, self.built(p, contenders), catalog.procs_of(p, options.procs, options.full))
                     for p, contenders in options.chosen]
        self.progress = Progress(max(1, options.rounds * sum(len(c) * len(procs) for _, c, procs in self.plan)))

    def built(self, problem, contenders):
        """The contenders whose program is there; the others are skipped aloud."""
        there = []
        for contender in contenders:
            if (self.options.build / "perf" / problem.program / contender).exists():
                there.append(contender)
            else:
                name = f"{problem.name}/{contender}"
                self.results.skipped[name] = "it was not built, see what CMake said about perf"
                print(f"skipped: {name}: {self.results.skipped[name]}", file=sys.stderr)
        return there

    def measure(self):
        for problem, contenders, procs in self.plan:
            if problem.name == "digest" and contenders:
                self.progress.step(problem.name, "what sha256sum says (once, not measured)")
                self.progress.done -= 1
                self.reference.prepare()
            for round_number in range(self.options.rounds):
                for count in procs:
                    for contender in contenders:
                        self.measure_once(problem, contender, count, round_number)
        self.progress.finish()
        return self.results

    def measure_once(self, problem, contender, procs, round_number):
        label = f"{problem.name}/{contender} on {procs}"
        self.progress.step(problem.name, f"{contender} on {procs} processors, round {round_number + 1}")
        if label in self.results.failed:
            return  # once is enough
        for size in catalog.sizes_of(problem, contender, self.options.full):
            command = catalog.command(problem, contender, self.options.build, procs, self.options.full,
                                      self.milliseconds, self.options.roots, size)
            try:
                run = child.run(command, procs, timeout=600 if self.options.full else 60,
                                memory="memory_mib" in problem.metrics)
                self.results.add(problem.name, procs, contender, *self.judge(problem, run, size))
            except child.Failed as error:
                self.results.failed[label] = str(error)
                self.progress.say(f"FAILED: {label}: {error}")
                return

    def judge(self, problem, run, size):
        """(metrics, notes) of a run."""
        if problem.name != "digest":
            metrics, notes = child.metrics(run.stdout)
            if size is None:
                return metrics, notes
            return {f"{metric}_{size}": value for metric, value in metrics.items()}, {}
        self.reference.check(run.stdout)
        return {"wall_s": run.wall_s, "cpu_s": run.cpu_s, "memory_mib": run.memory_mib}, {}


def write(measured, options, description):
    options.out.mkdir(parents=True, exist_ok=True)
    asked = {"only": options.only.pattern, "full": options.full, "rounds": options.rounds, "procs": options.procs,
             "roots": options.roots}
    as_json = measured.as_json(description, asked)
    (options.out / "results.json").write_text(json.dumps(as_json, indent=1) + "\n", encoding="utf-8")
    (options.out / "results.md").write_text(tables.as_markdown(measured, description), encoding="utf-8")
    problem = plots.draw(measured, options.out)
    if problem:
        print(problem, file=sys.stderr)
    return "results.json and results.md" if problem else "results.json, results.md and plots (*.svg)"


def main(arguments):
    if arguments[:1] == ["alloc"]:
        return alloc_main.main(arguments[1:])
    if arguments[:1] == ["gc"]:
        return gc_main.main(arguments[1:])
    if arguments[:1] in (["echo"], ["http"], ["libraries"]):
        return net_main.main(arguments[0], arguments[1:])
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{p.name}/{c}" for p, contenders in options.chosen for c in contenders))
    elif options.compare:
        print("\n".join(compare.compare(*options.compare)))
    elif not options.check:
        description = machine.describe(options.build)
        for name, value in {**description["machine"], **description["versions"]}.items():
            print(f"{name}: {value}")
        measured = Session(options).measure()
        written = write(measured, options, description)
        print(tables.for_terminal(measured))
        print(f"\n{written} are in {options.out}")
        return 1 if measured.failed else 0
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {error}")
