# SPDX-License-Identifier: BSL-1.0
"""What the values of options may be; argparse reports what is refused."""
import argparse
import os
import re


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
