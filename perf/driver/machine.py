# SPDX-License-Identifier: BSL-1.0
"""Where and of what the figures come: machine, versions, commit."""
import datetime
import os
import pathlib
import platform
import re
import subprocess

from catalog import ROOT


def first_line(*command):
    """The first line that a command prints, or None if it cannot run."""
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT,
                              env={**os.environ, "LC_ALL": "C"}).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return text.strip().split("\n")[0]


def found(pattern, path):
    """The first group of a regular expression in a file, or None."""
    try:
        match = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return match.group(1).strip() if match else None


def cached(build, name):
    """A variable of the build's CMake cache."""
    return found(rf"^{name}:\w+=(.*)$", build / "CMakeCache.txt")


def boost_version(build):
    include = found(r"^Boost_INCLUDE_DIR:\w+=(.*)$", build / "CMakeCache.txt") or "/usr/include"
    number = found(r"#define BOOST_VERSION (\d+)", pathlib.Path(include) / "boost/version.hpp")
    return f"{int(number) // 100000}.{int(number) // 100 % 1000}" if number else None


def versions(build):
    go = cached(build, "HEDDLE_GO")
    return {
        "compiler": first_line(cached(build, "CMAKE_CXX_COMPILER") or "c++", "--version"),
        "boost": boost_version(build),
        "go": first_line(go, "version") if go and "NOTFOUND" not in go else None,
        "libcrypto": first_line("openssl", "version"),
        "coreutils": first_line("sha256sum", "--version"),
        "glibc": platform.libc_ver()[1],
    }


def machine():
    memory = int(found(r"MemTotal:\s+(\d+)", "/proc/meminfo") or 0)
    return {
        "cpu": found(r"^model name\s*:\s*(.*)$", "/proc/cpuinfo") or platform.processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20, 1),
        "kernel": platform.release(),
        "system": found(r'^PRETTY_NAME="(.*)"$', "/etc/os-release"),
        "max_map_count": int(found(r"(\d+)", "/proc/sys/vm/max_map_count") or 0),
        "load_before": os.getloadavg()[0],
    }


def commit():
    head = first_line("git", "rev-parse", "HEAD")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no")
    return (head or "unknown") + ("-dirty" if changed else "")


def describe(build):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(build),
    }
