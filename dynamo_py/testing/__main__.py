"""`python -m dynamo_py.testing`: the simulator as a program, in the real world.

Here the commands get the standard run, this machine's clocks, and this very program as their
worker; what they do is in `dynamo_py.testing.command`.
"""

from __future__ import annotations

import os
import resource
import sys

from dynamo_py.net.world import RealClock
from dynamo_py.testing.command import Toolbox, run
from dynamo_py.testing.outcome import Meters
from dynamo_py.testing.standard import FAULT_KINDS, run_standard


def cpu_s() -> float:
    """The CPU time of this process so far, in seconds, the system's part included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """The entry point of the program; the exit status."""
    toolbox = Toolbox(
        run_standard=run_standard,
        meters=Meters(RealClock.monotonic, cpu_s),
        fault_kinds=FAULT_KINDS,
        worker=(sys.executable, "-m", "dynamo_py.testing", "worker"),
        environment=os.environ,
    )
    return run(sys.argv[1:], toolbox)


if __name__ == "__main__":
    sys.exit(main())
