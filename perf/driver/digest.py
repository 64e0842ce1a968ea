# SPDX-License-Identifier: BSL-1.0
"""What perf/digest must print: the lines of sha256sum, byte for byte."""
import os
import subprocess

from child import Failed


class Reference:
    """The lines of `find | sort | sha256sum` for the roots; computed when first needed."""

    def __init__(self, roots):
        self.roots = roots
        self.lines = None

    def compute(self):
        script = 'find "$@" -type f -print0 | sort -z | xargs -0 -r sha256sum'
        return subprocess.run(["bash", "-o", "pipefail", "-c", script, "bash", *self.roots], check=True,
                              stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}).stdout

    def prepare(self):
        if self.lines is None:
            self.lines = self.compute()

    def check(self, printed):
        """Raises Failed unless `printed` is right. The tree may have changed since the reference was made, so a
        difference is believed only if it is still there when the reference is made anew."""
        if printed == self.lines:
            return
        before, self.lines = self.lines, self.compute()
        if before != self.lines:
            raise Failed("the tree changed under way; measure on one that nobody writes to")
        raise Failed("printed other lines than sha256sum: " + first_difference(printed, self.lines))


def first_difference(printed, expected):
    ours, theirs = printed.split(b"\n"), expected.split(b"\n")
    for number, (one, other) in enumerate(zip(ours, theirs), 1):
        if one != other:
            return f"line {number} is {one!r} and should be {other!r}"
    return f"{len(ours) - 1} lines instead of {len(theirs) - 1}"
