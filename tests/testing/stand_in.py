"""A standard run that is none, for the programs around the simulator; and its worker.

The seed says what happens: 13 violates a promise, 17 raises, 19 ends the process, 23 hangs;
21 has another trace under each salt of Python's hashes.
"""

from __future__ import annotations

import os
import sys
import time

from dynamo_py.testing.outcome import Meters
from dynamo_py.testing.report import Report, StandardRun
from dynamo_py.testing.worker import serve_on_standard_streams

METERS = Meters(time.perf_counter, time.process_time)


def run_standard(run: StandardRun) -> Report:
    """A made-up report."""
    if run.seed == 17:
        raise RuntimeError("nothing can go on")
    if run.seed == 19:
        print("a last word", file=sys.stderr, flush=True)
        os._exit(3)
    if run.seed == 23:
        time.sleep(60)
    print("what a run prints stands in nobody's way")
    return Report(
        run,
        timeline=((1.5, "split n1 n2 | n3 n4 n5"), (12.25, "heal")),
        violations=("key k1: lost w7", "key k2: lost w9") if run.seed == 13 else (),
        operations=100,
        acknowledged=90,
        unknown=7,
        not_applied=3,
        degraded=5,
        virtual_s=run.duration_s,
        trace=f"{run.seed:032x}" if run.seed != 21 else os.environ.get("PYTHONHASHSEED", ""),
        events=1234,
    )


if __name__ == "__main__":
    serve_on_standard_streams(run_standard, METERS)
