"""A worker: a process that carries out one run after the other, as it is told.

Knows nothing of what becomes of the outcomes. Each line of the input is a `StandardRun` in
JSON, and each line of the output the `Outcome` of that run; the end of the input is the end.
What a run prints must not get between the answers, so it goes to stderr.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import msgspec

from dynamo_py.testing.outcome import Meters, Outcome, carry_out
from dynamo_py.testing.report import RunStandard, StandardRun

_encode = msgspec.json.Encoder().encode
_runs = msgspec.json.Decoder(StandardRun)
_outcomes = msgspec.json.Decoder(Outcome)


def encoded_run(run: StandardRun) -> bytes:
    """``run`` as a line for a worker."""
    return _encode(run) + b"\n"


def decoded_outcome(line: bytes) -> Outcome:
    """A worker's answer; `msgspec.MsgspecError` if it is none."""
    return _outcomes.decode(line)


def serve(
    run_standard: RunStandard, meters: Meters, *, requests: BinaryIO, answers: BinaryIO
) -> None:
    """Answer each line of ``requests`` until their end."""
    for line in requests:
        outcome = carry_out(_runs.decode(line), run_standard, meters)
        answers.write(_encode(outcome) + b"\n")
        answers.flush()


def serve_on_standard_streams(run_standard: RunStandard, meters: Meters) -> None:
    """Be a worker process: `serve` on stdin and stdout."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(run_standard, meters, requests=sys.stdin.buffer, answers=answers)
