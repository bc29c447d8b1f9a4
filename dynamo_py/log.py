"""Loggers of events with facts, through the standard library's logging.

An embedded node must not print: where events go is the program's decision, as ever with
`logging`. ``dyn-cli node run`` sends them to stderr, one line each.
"""

from __future__ import annotations

import logging
from typing import cast

import structlog
from structlog.stdlib import BoundLogger


def get_logger(name: str) -> BoundLogger:
    """A logger for the module ``name``: ``log.info("node started", node="n1")``."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.EventRenamer("message"),
            _render,
        ],
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    return cast(BoundLogger, logger)


def _render(logger: object, method: str, event: structlog.typing.EventDict) -> str:
    """``message key=value key=value``; values with spaces are quoted."""
    message = str(event.pop("message"))
    facts = (f"{key}={_quoted(value)}" for key, value in event.items())
    return " ".join([message, *facts])


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
