# SPDX-License-Identifier: BSL-1.0
"""`perf/run gc`: heddle's collector beside others, and beside memory that is freed by hand."""
import argparse
import ctypes
import json
import sys

import allocators
import gc_catalog
import gc_marks
import gc_plots
import machine
import option_types
import tables
from gc_session import Session

ROUNDS = {"quick": 3, "usual": 5, "full": 9}
PR_SET_TIMERSLACK = 29


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="perf/run gc",
        description="Compares collectors, and malloc with free by hand, on the problems of perf/gc.",
        epilog="perf/run also knows --no-install: list missing packages and exit with 3 instead of installing them.")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", dest="scale", action="store_const", const="quick", default="usual",
                          help="3 rounds of less work: a first impression")
    how_much.add_argument("--full", dest="scale", action="store_const", const="full",
                          help="9 rounds of more work, every problem at every number of processors")
    option_types.add_usual(parser, "contender", "gc",
                           "5, with --quick 3, with --full 9; those that take long have less")
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.out = options.out or options.build / "results" / "gc"
    options.rounds = options.rounds or ROUNDS[options.scale]
    options.chosen = list(gc_catalog.matching(options.only, options.scale))
    if not options.chosen:
        parser.error(f"--only '{options.only.pattern}' matches none of what --list prints")
    return options


def describe(options):
    description = machine.describe(options.build)
    known = allocators.known(options.build, [])
    description["versions"]["jemalloc"] = known["jemalloc"].version() if not known["jemalloc"].missing() else None
    description["versions"]["libgc"] = machine.first_line("dpkg-query", "-W", "-f", "${Version}", "libgc-dev")
    description["versions"]["java"] = machine.first_line("java", "--version")
    return description


def write(measured, options, description):
    options.out.mkdir(parents=True, exist_ok=True)
    asked = {"only": options.only.pattern, "scale": options.scale, "rounds": options.rounds, "procs": options.procs}
    courses = [{"problem": problem, "procs": procs, "contender": contender, "points": course.points}
               for (problem, procs, contender), course in measured.courses.items()]
    as_json = {**measured.as_json(description, asked), "marks": gc_marks.as_json(measured), "heap_over_time": courses}
    (options.out / "results.json").write_text(json.dumps(as_json, indent=1) + "\n", encoding="utf-8")
    text = tables.as_markdown(measured, description, "perf/run gc")
    marks = "\n".join(["", "## marks", "```", *gc_marks.lines(measured, options.scale), "```", ""])
    (options.out / "results.md").write_text(text + marks, encoding="utf-8")
    problem = gc_plots.draw(measured, options.out)
    if problem:
        print(problem, file=sys.stderr)
    return "results.json and results.md" if problem else "results.json, results.md and plots (*.svg)"


def wake_on_time():
    """The kernel may wake a sleeper 50 us late, to wake several at once. What we start inherits that it may not: a
    heartbeat would show nothing else. Where this fails, all contenders are late alike."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(1))


def main(arguments):
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{p.name}/{c}" for p, contenders in options.chosen for c in contenders))
    elif not options.check:
        description = describe(options)
        for name, value in {**description["machine"], **description["versions"]}.items():
            print(f"{name}: {value}")
        wake_on_time()
        measured = Session(options).measure()
        written = write(measured, options, description)
        print(tables.for_terminal(measured))
        print("\n" + "\n".join(gc_marks.lines(measured, options.scale)))
        print(f"\n{written} are in {options.out}")
        return 1 if measured.failed else 0
    return 0
