# SPDX-License-Identifier: BSL-1.0
"""`perf/run alloc`: heddle's allocator beside others, each preloaded into the same programs."""
import argparse
import json
import os
import re
import sys

import alloc_catalog
import alloc_plots
import alloc_summary
import allocators
import machine
import option_types
import tables
from alloc_session import Session


def named_library(text):
    name, _, path = text.partition("=")
    if not re.fullmatch(r"[\w.-]+", name) or not path:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form name=path")
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise argparse.ArgumentTypeError(f"there is no {path}")
    if re.search(r"[\s:$]", path):
        raise argparse.ArgumentTypeError(f"'{path}': a path with spaces, colons or dollars cannot be preloaded")
    return name, path


def add_options(parser):
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="3 rounds of less work: a first impression")
    how_much.add_argument("--full", action="store_true", help="9 rounds of more work, every problem at every number of "
                          "processors, 15 seconds of memory over time, and instructions")
    parser.add_argument("--so", type=named_library, action="append", default=[], metavar="NAME=PATH",
                        help="one more allocator, or another library for one that is known; may be given again")
    parser.add_argument("--instructions", action="store_true",
                        help="count the instructions of a malloc and a free, too (needs valgrind)")
    option_types.add_usual(parser, "allocator", "alloc", "5, with --quick 3, with --full 9")


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="perf/run alloc",
        description="Compares allocators, each preloaded into the same programs; the baseline is "
                    f"{allocators.BASELINE}.",
        epilog="perf/run also knows --no-install: list missing packages and exit with 3 instead of installing them.")
    add_options(parser)
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.out = options.out or options.build / "results" / "alloc"
    options.scale = (alloc_catalog.FULL if options.full else
                     alloc_catalog.QUICK if options.quick else alloc_catalog.USUAL)
    if options.rounds:
        options.scale.rounds = options.rounds
    options.known = allocators.known(options.build, options.so)
    options.chosen = list(choose(options))
    if not options.chosen:
        parser.error(f"--only '{options.only.pattern}' matches none of what --list prints")
    return options


def choose(options):
    """(problem, allocators) that --only matches."""
    for problem in alloc_catalog.problems(options.scale, options.full or options.instructions):
        chosen = [a for a in options.known.values() if options.only.search(f"{problem.name}/{a.name}")]
        problem.contenders = [a.name for a in chosen]
        if chosen:
            yield problem, chosen


def write(measured, options, description):
    options.out.mkdir(parents=True, exist_ok=True)
    asked = {"only": options.only.pattern, "scale": vars(options.scale), "procs": options.procs}
    as_json = {**measured.as_json(description, asked), "summary": alloc_summary.as_json(measured)}
    (options.out / "results.json").write_text(json.dumps(as_json, indent=1) + "\n", encoding="utf-8")
    text = tables.as_markdown(measured, description, "perf/run alloc")
    summary = "\n".join(["", "## summary", "```", *alloc_summary.lines(measured), "```", ""])
    (options.out / "results.md").write_text(text + summary, encoding="utf-8")
    problem = alloc_plots.draw(measured, options.out)
    if problem:
        print(problem, file=sys.stderr)
    return "results.json and results.md" if problem else "results.json, results.md and plots (*.svg)"


def describe(options):
    description = machine.describe(options.build)
    description["versions"].update(
        (name, allocator.version()) for name, allocator in options.known.items()
        if allocator.library and not allocator.missing())
    return description


def main(arguments):
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{p.name}/{a.name}" for p, chosen in options.chosen for a in chosen))
    elif not options.check:
        description = describe(options)
        for name, value in {**description["machine"], **description["versions"]}.items():
            print(f"{name}: {value}")
        measured = Session(options.chosen, options.known.values(), options).measure()
        written = write(measured, options, description)
        print(tables.for_terminal(measured))
        print("\n" + "\n".join(alloc_summary.lines(measured)))
        print(f"\n{written} are in {options.out}")
        return 1 if measured.failed else 0
    return 0
