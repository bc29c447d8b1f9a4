"""What processes have used so far, from /proc: CPU, memory, bytes that they had written to disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Used:
    """What one process has used since it started, and what it holds now."""

    cpu_s: float
    """User and system time, all of its threads."""
    rss_bytes: int
    anonymous_bytes: int
    """Of the resident memory what is no file's: heap and stacks."""
    written_bytes: int | None
    """What it caused to be sent to disks; None where the kernel does not tell."""


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used so far, all of its threads."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def used(pid: int) -> Used | None:
    """What the process has used; None where there is no such process any more."""
    directory = _PROC / str(pid)
    try:
        status = named_numbers((directory / "status").read_text())
        cpu_s = cpu_seconds(pid)
        if "VmRSS" not in status:  # It has ended, and nobody has asked how yet.
            return None
        return Used(
            cpu_s, status["VmRSS"] * 1024, status["RssAnon"] * 1024, _written_bytes(directory)
        )
    except (FileNotFoundError, ProcessLookupError):
        return None


def _written_bytes(directory: Path) -> int | None:
    try:
        return named_numbers((directory / "io").read_text())["write_bytes"]
    except PermissionError:
        return None


def named_numbers(text: str) -> dict[str, int]:
    """The ``name: number`` lines of a file of /proc, whatever follows the number.

    >>> named_numbers("Name: python 3\\nVmRSS:      12 kB")
    {'VmRSS': 12}
    """
    numbers = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            numbers[name] = int(words[0])
    return numbers
