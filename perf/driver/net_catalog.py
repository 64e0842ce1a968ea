# SPDX-License-Identifier: BSL-1.0
"""What there is to measure of servers (echo and HTTP) and of C libraries as clients, by the number of connections."""
import dataclasses

from catalog import OURS, PERF, SEGMENTED, Problem

GO = "go"
DRAINS = "epoll_drain"  # reads until EAGAIN, as Go and Asio do
NGINX = ("nginx_return", "nginx_file")
ECHO = (OURS, GO, DRAINS, "epoll_once", "io_uring", "asio", "asio_coroutine")
HTTP = (OURS, GO, *NGINX, "epoll", "beast_asio", "beast_threads", "beast_fiber")
RESTING = (OURS, SEGMENTED, GO, *NGINX[:1], "epoll", "beast_asio")

RATES = {"rate_k": "thousand requests a second", "p50_us": "50 %, us", "p99_us": "99 %, us", "p999_us": "99.9 %, us",
         "server_cpu_us": "server's user+sys a request, us", "calls": "system calls a request",
         "rss_mib": "server's resident memory, MiB", "load_busy_percent": "the load's processor busy, percent"}
REST = {"rest_bytes": "resident memory a connection, bytes", "rest_cpu_percent": "server's user+sys at rest, percent",
        "first_us": "first answer after it, us", "single_p99_us": "one request at a time, 99 %, us"}

ALONE = "heddle_alone"  # without heddle::blocking_calls
THREADS = "std_thread"  # for each connection
LIBRARIES = {"libpq": "postgres", "hiredis": "redis"}  # and the server that test/net/servers/with knows
QUERIES = {"rate_k": "thousand queries a second", "p50_us": "50 %, us", "p99_us": "99 %, us",
           "cpu_us": "user+sys a query, us", "busy_percent": "the processor busy, percent",
           "beat_50_us": "a sleeper beside them late by, 50 %, us", "beat_99_us": "99 %, us"}

ROUNDS = {"quick": 3, "usual": 5, "full": 9}
MILLISECONDS = {"quick": 500, "usual": 1_000, "full": 3_000}
REST_MS = {"quick": 1_000, "usual": 3_000, "full": 10_000}
SPARE = 100  # descriptors beside those of connections


@dataclasses.dataclass
class Served(Problem):
    connections: int = 1
    size: int = 64  # of a message of echo
    quick: bool = False  # a part of --quick
    pause_ms: int = 0  # of a client between two queries

    @property
    def what(self):
        """echo, http or libraries."""
        return self.name.split("/")[0]

    @property
    def kind(self):
        """echo, hello, rest or queries."""
        return {"echo": "echo", "http": self.name.split("/")[1], "libraries": "queries"}[self.what]

    @property
    def library(self):
        return self.name.split("/")[1]

    @property
    def folder(self):
        return f"libraries/{self.library}" if self.what == "libraries" else self.what


def echo(size, label, connections, quick=False):
    return Served(f"echo/{label}/{connections}", f"{label} there and back, {connections:,} connections", RATES,
                  list(ECHO), "one", {}, connections=connections, size=size, quick=quick)


def hello(connections):
    return Served(f"http/hello/{connections}", f"a page of 14 bytes, wrk with {connections:,} connections", RATES,
                  list(HTTP), "one", {}, connections=connections, quick=True)


def queries(library, name, pause_ms, how):
    return Served(f"libraries/{library}/{name}", f"{library}: 1,000 connections, queries of 1 ms, {how}", QUERIES,
                  [OURS, ALONE, THREADS], "one", {}, connections=1_000, quick=True, pause_ms=pause_ms)


PROBLEMS = [
    *(echo(64, "64B", n, quick=n in (100, 1_000)) for n in (1, 100, 1_000, 10_000)),
    *(echo(4_096, "4KiB", n) for n in (1, 100, 1_000, 10_000)),
    hello(100), hello(1_000),
    Served("http/rest/10000", "10,000 connections that have asked once, and rest", REST, list(RESTING), "one", {},
           connections=10_000, quick=True),
    *(queries(library, *how) for library in LIBRARIES
      for how in (("busy", 0, "one after the other"), ("paced", 100, "and pauses of 100 ms"))),
]


def matching(what, pattern, scale):
    """(problem, contenders) of `what`, echo, http or libraries, that --only matches and this scale measures."""
    for problem in PROBLEMS:
        chosen = [c for c in problem.contenders if pattern.search(f"{problem.name}/{c}")]
        if problem.what == what and chosen and (scale != "quick" or problem.quick):
            yield problem, chosen


def program(problem, contender, build):
    """The file that a contender is; nginx is Debian's."""
    return build / "perf" / problem.folder / contender


def server_command(problem, contender, build):
    # Room for two messages: a read that brings less than it could says that there is nothing more.
    size = ["--size", str(2 * problem.size)] if problem.kind == "echo" else []
    return [str(program(problem, contender, build)), *size]


def load_command(problem, build, port, *options):
    size = ["--size", str(problem.size)] if problem.kind == "echo" else []
    return [str(build / "perf" / problem.folder / "load"), "--port", str(port), "--connections",
            str(problem.connections), *size, *map(str, options)]


def queries_command(problem, contender, build, milliseconds):
    return [str(program(problem, contender, build)), "--connections", str(problem.connections), "--pause_ms",
            str(problem.pause_ms), "--ms", str(milliseconds)]


def wrk_command(problem, port, seconds):
    return ["/usr/bin/wrk", "--threads", "1", "--connections", str(problem.connections), "--duration", f"{seconds}s",
            "--timeout", "10s", "--latency", "--script", str(PERF / "http" / "report.lua"),
            f"http://127.0.0.1:{port}/hello"]
