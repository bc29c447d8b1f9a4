"""What nodes of a simulation log: with virtual times, or not at all.

Knows nothing of runs. Where nobody asks for it a program shows none of it: hundreds of nodes
are refused, lost and started in one run, as they should be.
"""

from __future__ import annotations

import logging

import trio

LOGGERS = ("dynamo_py", "gossip")
NEVER = logging.CRITICAL + 1


def keep_quiet() -> None:
    """Let nodes log nothing, and spend no time on it."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(NEVER)


def show(level: int = logging.INFO) -> None:
    """Let nodes log to stderr, each line with the virtual second."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Timed("%(message)s"))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers = [handler]


class _Timed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        try:
            return f"{trio.current_time():10.3f} s  {text}"
        except RuntimeError:  # Before and after a run there is no virtual time.
            return text
