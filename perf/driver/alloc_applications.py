# SPDX-License-Identifier: BSL-1.0
"""Programs of Debian that allocate a lot, each with the input that it works on."""
import dataclasses
import random
import shutil
import subprocess
from typing import Callable

from catalog import PERF, Problem

SOURCES = PERF / "alloc"


@dataclasses.dataclass
class Application:
    name: str
    title: str
    program: str  # the begin of the name of the command that runs
    command: Callable  # folder -> command line
    prepare: Callable = lambda folder: None  # makes the input in the folder
    output: str | None = None  # the file that it writes there
    linked: str | None = None  # the allocator that it is linked with

    @property
    def problem(self):
        return PROBLEMS[self.name]

    def missing(self):
        """What it takes and is not installed."""
        return [tool for tool in TOOLS.get(self.name, [self.program]) if shutil.which(tool) is None]


def words(count, seed):
    """Lines of a few words, the same in every run."""
    choice = random.Random(seed)
    vocabulary = ["".join(choice.choices("abcdefghijklmnopqrstuvwxyz", k=choice.randint(2, 12))) for _ in range(5_000)]
    for _ in range(count):
        yield " ".join(choice.choices(vocabulary, k=choice.randint(1, 10)))


def write_lines(path, count, seed):
    path.write_text("\n".join(words(count, seed)) + "\n", encoding="ascii")


def commits(count):
    """A history for git fast-import: a commit changes three of 200 files."""
    choice = random.Random(5)
    texts = list(words(20_000, 6))
    yield from ("reset refs/heads/main", "")
    for number in range(1, count + 1):
        message = f"change {number}"
        yield f"commit refs/heads/main\nmark :{number}\ncommitter A <a@example.org> {1_700_000_000 + number} +0000"
        yield f"data {len(message)}\n{message}"
        if number > 1:
            yield f"from :{number - 1}"
        for _ in range(3):
            text = "\n".join(texts[choice.randrange(19_000):][:choice.randint(10, 200)]) + "\n"
            yield f"M 100644 inline folder{choice.randrange(10)}/file{choice.randrange(20)}\ndata {len(text)}\n{text}"


def make_repository(folder):
    repository = folder / "repository"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], check=True)
    subprocess.run(["git", "-C", repository, "fast-import", "--quiet"], check=True,
                   input=("\n".join(commits(2_000)) + "\n").encode())


APPLICATIONS = [
    Application("gcc", "g++ compiles a file that includes much of std and Boost", "cc1plus", lambda folder: [
        "g++", "-std=c++20", "-O0", "-c", str(SOURCES / "gcc" / "headers.cpp"), "-o", str(folder / "headers.o")],
        output="headers.o"),
    Application("python", "python3 with every object from malloc", "python3", lambda folder: [
        "env", "PYTHONMALLOC=malloc", "PYTHONHASHSEED=0", "/usr/bin/python3", "-S", "-E", "-B",
        str(SOURCES / "python" / "churn.py")]),
    Application("perl", "perl, hashes and strings", "perl", lambda folder: [
        "env", "PERL_HASH_SEED=0", "perl", str(SOURCES / "perl" / "churn.pl")]),
    Application("sqlite", "sqlite3 in memory: inserts, indices, queries", "sqlite3", lambda folder: [
        "sqlite3", ":memory:", f".read {SOURCES / 'sqlite' / 'queries.sql'}"]),
    Application("redis", "redis-server under redis-benchmark, which runs on the libc's malloc", "redis-server",
                lambda folder: [str(SOURCES / "redis" / "redis.sh"), str(folder)], linked="jemalloc"),
    Application("xz", "xz with two threads", "xz", lambda folder: [
        "xz", "--threads=2", "--block-size=2MiB", "-2", "--keep", "--force", str(folder / "text")],
        lambda folder: write_lines(folder / "text", 300_000, 1), "text.xz"),
    Application("sort", "sort with two threads", "sort", lambda folder: [
        "env", "LC_ALL=C", "sort", "--parallel=2", "--buffer-size=256M", str(folder / "text"), "-o",
        str(folder / "sorted")],
        lambda folder: write_lines(folder / "text", 700_000, 2), "sorted"),
    Application("git", "git packs a history of 2,000 commits and prints it", "git", lambda folder: [
        str(SOURCES / "git" / "git.sh"), str(folder / "repository")], make_repository),
]
TOOLS = {"gcc": ["g++"], "redis": ["redis-server", "redis-benchmark", "redis-cli"]}
PROBLEMS = {application.name: Problem(f"alloc/{application.name}", application.title,
                                      {"wall_s": "time, s", "cpu_s": "user+sys, s", "memory_mib": "peak memory, MiB"},
                                      [], "most", {})
            for application in APPLICATIONS}
BY_NAME = {application.problem.name: application for application in APPLICATIONS}
