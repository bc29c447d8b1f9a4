"""Amounts of data for people."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(data_bytes: float) -> str:
    """An amount of bytes, in the largest unit of which it is at least one; below 0: not known."""
    if data_bytes < 0:
        return "?"
    amount, unit = data_bytes, _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 token``, ``2 tokens``."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
