# SPDX-License-Identifier: BSL-1.0
"""What the values of options may be; argparse reports what is refused."""
import argparse
import os
import pathlib
import re

import catalog


def regular_expression(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no regular expression: {error}") from None


def processor_counts(text):
    most = len(os.sched_getaffinity(0))
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of numbers such as 1,2") from None
    if counts[0] < 1 or counts[-1] > most:
        raise argparse.ArgumentTypeError(f"'{text}': this machine lets us use 1 to {most} processors")
    return counts


def round_count(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rounds")
    return int(text)


def add_usual(parser, contender, folder, rounds):
    """The options that `perf/run alloc` and `perf/run gc` share."""
    parser.add_argument("--only", type=regular_expression, default=re.compile(""), metavar="REGEX",
                        help=f"what to measure, by problem/{contender} as --list prints them (searched, not anchored)")
    parser.add_argument("--list", action="store_true", help=f"print every problem/{contender} and stop")
    parser.add_argument("--rounds", type=round_count, help=f"samples of each figure (default: {rounds})")
    parser.add_argument("--procs", type=processor_counts, metavar="N,...",
                        default=sorted({1, min(2, len(os.sched_getaffinity(0)))}),
                        help="numbers of processors (default: 1 and 2)")
    parser.add_argument("--lock", type=pathlib.Path, metavar="FILE",
                        help="hold flock(2) on this file while something is timed, for machines that are shared")
    parser.add_argument("--build", type=pathlib.Path, default=catalog.ROOT / "build" / "perf", metavar="DIR",
                        help="where to build (default: build/perf)")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR",
                        help=f"where results go (default: results/{folder} in --build)")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # perf/run: are the options good?
