# SPDX-License-Identifier: BSL-1.0
"""Two result files side by side: has our own code become faster or slower?"""
import json

from catalog import OURS
from tables import number


def load(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)["results"]
    return {(r["problem"], r["procs"], r["metric"]): r for r in results if r["contender"] == OURS}


def compare(old_path, new_path):
    """Lines of text, one per metric of heddle that is in both files. A change counts as one only where the two ranges
    of samples do not touch."""
    old, new = load(old_path), load(new_path)
    yield f"{'problem':22} P  {'metric':18} {'old':>10} {'new':>10}  change"
    for key in [k for k in old if k in new]:
        before, after = old[key], new[key]
        change = after["median"] / before["median"] - 1 if before["median"] else 0.0
        apart = after["max"] < before["min"] or after["min"] > before["max"]
        verdict = ("better" if change < 0 else "worse") if apart else "within the noise"
        yield (f"{key[0]:22} {key[1]}  {key[2]:18} {number(before['median']):>10} {number(after['median']):>10}  "
               f"{change:+.0%} {verdict}")
