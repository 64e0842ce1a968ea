# SPDX-License-Identifier: BSL-1.0
"""`perf/run echo` and `perf/run http`: heddle's servers beside others, under the same load. `perf/run libraries`: C
libraries as clients, on fibers and on threads."""
import argparse
import json
import pathlib
import re
import sys

import catalog
import machine
import net_catalog
import net_marks
import option_types
import plots
import tables
from net_session import Session

COLOURS = {"epoll_drain": "#d9a066", "epoll_once": "#bf812d", "epoll": "#bf812d", "io_uring": "#bdbdbd",
           "asio": "#b2a1c7", "asio_coroutine": "#8073ac", "nginx_return": "#d9a066", "nginx_file": "#f6c98f",
           "beast_asio": "#b2a1c7", "beast_threads": "#8073ac", "beast_fiber": "#d9a6c2", "heddle_alone": "#a6dba0"}


def parse(what, arguments):
    parser = argparse.ArgumentParser(
        prog=f"perf/run {what}",
        description={"libraries": "Compares fibers with threads as callers of unmodified C libraries."}.get(
            what, "Compares servers: each on one processor, its clients on another."),
        epilog="perf/run also knows --no-install: list missing packages and exit with 3 instead of installing them.")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", dest="scale", action="store_const", const="quick", default="usual",
                          help="3 rounds of what the marks are about: a first impression")
    how_much.add_argument("--full", dest="scale", action="store_const", const="full", help="9 rounds, longer")
    parser.add_argument("--only", type=option_types.regular_expression, default=re.compile(""), metavar="REGEX",
                        help="what to measure, by problem/contender as --list prints them (searched, not anchored)")
    parser.add_argument("--list", action="store_true", help="print every problem/contender and stop")
    parser.add_argument("--rounds", type=option_types.round_count,
                        help="samples of each figure (default: 5, with --quick 3, with --full 9)")
    parser.add_argument("--lock", type=pathlib.Path, metavar="FILE",
                        help="hold flock(2) on this file while something is timed, for machines that are shared")
    parser.add_argument("--build", type=pathlib.Path, default=catalog.ROOT / "build" / "perf", metavar="DIR",
                        help="where to build (default: build/perf)")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR",
                        help=f"where results go (default: results/{what} in --build)")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # perf/run: are the options good?
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.out = options.out or options.build / "results" / what
    options.rounds = options.rounds or net_catalog.ROUNDS[options.scale]
    options.chosen = list(net_catalog.matching(what, options.only, options.scale))
    if not options.chosen:
        parser.error(f"--only '{options.only.pattern}' matches none of what --list prints")
    return options


def describe(options):
    description = machine.describe(options.build)
    for package in ("nginx-light", "nginx", "wrk", "strace", "postgresql", "redis-server"):
        version = machine.first_line("dpkg-query", "-W", "-f", "${Version}", package)
        if version:
            description["versions"][package] = version
    return description


def calls_lines(measured):
    """Which system calls a request takes, those that matter."""
    if not measured.calls:
        return []
    lines = ["system calls a request"]
    for (problem, contender), calls in measured.calls.items():
        shown = sorted(((often, name) for name, often in calls.items() if often >= 0.005), reverse=True)
        lines.append(f"  {problem}/{contender}: " + ", ".join(f"{name} {often:.2f}" for often, name in shown))
    return lines


def write(what, measured, options, description):
    options.out.mkdir(parents=True, exist_ok=True)
    asked = {"only": options.only.pattern, "scale": options.scale, "rounds": options.rounds}
    calls = [{"problem": problem, "contender": contender, "a_request": calls}
             for (problem, contender), calls in measured.calls.items()]
    as_json = {**measured.as_json(description, asked), "marks": net_marks.as_json(measured), "system_calls": calls}
    (options.out / "results.json").write_text(json.dumps(as_json, indent=1) + "\n", encoding="utf-8")
    text = tables.as_markdown(measured, description, f"perf/run {what}")
    closing = ["", "```", *net_marks.lines(measured), "", *calls_lines(measured), "```", ""]
    (options.out / "results.md").write_text(text + "\n".join(closing), encoding="utf-8")
    plots.COLOURS.update(COLOURS)
    problem = plots.draw(measured, options.out)
    if problem:
        print(problem, file=sys.stderr)
    return "results.json and results.md" if problem else "results.json, results.md and plots (*.svg)"


def main(what, arguments):
    options = parse(what, arguments)
    if options.list:
        print("\n".join(f"{p.name}/{c}" for p, contenders in options.chosen for c in contenders))
    elif not options.check:
        description = describe(options)
        for name, value in {**description["machine"], **description["versions"]}.items():
            print(f"{name}: {value}")
        measured = Session(options).measure()
        written = write(what, measured, options, description)
        print(tables.for_terminal(measured))
        print("\n" + "\n".join([*net_marks.lines(measured), "", *calls_lines(measured)]))
        print(f"\n{written} are in {options.out}")
        return 1 if measured.failed else 0
    return 0
