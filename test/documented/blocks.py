# SPDX-License-Identifier: BSL-1.0
"""The blocks of code in documentation: in comments of public headers, and in README.md files."""

import re
from pathlib import Path

MODULES = ("alloc", "runtime", "runtime/net", "sync", "gc")


class Block:
    """Some lines of code: `path` relative to the source tree, `line` of the first of them, from 1."""

    def __init__(self, path, line, lines):
        self.path, self.line = path, line
        margin = min((len(l) - len(l.lstrip()) for l in lines if l.strip()), default=0)
        self.lines = [l[margin:].rstrip() for l in lines]

    @property
    def place(self):
        return f"{self.path}:{self.line}"

    @property
    def text(self):
        return "\n".join(self.lines)


def of_header(path, text):
    r"""Between \code and \endcode in comments of ///, or in by four spaces or more and after an empty line there."""
    blocks, lines, begin, fenced, before = [], [], 0, False, ""

    def end():
        nonlocal lines
        while lines and not lines[-1].strip():
            lines.pop()
        if lines:
            blocks.append(Block(path, begin, lines))
        lines = []

    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*///(?!<)(?: (.*)|$)", line)
        if not match:
            end()
            fenced, before = False, ""
            continue
        comment = match.group(1) or ""
        if comment.strip() == "\\code":
            fenced = True
        elif comment.strip() == "\\endcode":
            end()
            fenced = False
        elif fenced or comment.startswith("    ") and (lines or not before.strip()):
            if not lines:
                begin = number
            lines.append(comment)
        elif not comment.strip() and lines:
            lines.append("")  # a gap within, or the end
        else:
            end()
        before = comment
    end()
    return blocks


def of_readme(path, text):
    """Between ```cpp and ```."""
    blocks, lines, begin = [], None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```cpp"):
            lines, begin = [], number + 1
        elif line.startswith("```") and lines is not None:
            blocks.append(Block(path, begin, lines))
            lines = None
        elif lines is not None:
            lines.append(line)
    return blocks


def public_headers(root):
    for module in MODULES:
        folder = root / module / "include/heddle"
        yield from sorted(p for p in folder.rglob("*.hpp") if "detail" not in p.relative_to(folder).parts)


def of_tree(root):
    """All of them, by file and line."""
    found = []
    for path in public_headers(root):
        found += of_header(str(path.relative_to(root)), path.read_text())
    for path in sorted(root.glob("*.md")) + [root / m / "README.md" for m in MODULES]:
        if path.exists():
            found += of_readme(str(path.relative_to(root)), path.read_text())
    return found


if __name__ == "__main__":
    for b in of_tree(Path(__file__).resolve().parents[2]):
        print(f"--- {b.place}\n{b.text}")
