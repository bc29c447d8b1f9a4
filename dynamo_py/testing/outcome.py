"""One run carried out: its report, or the exception that it ended with, and what it cost.

Knows nothing of processes or of terminals. An exception out of a run is a finding like any
violation (a node died of a bug, or nothing could go on): it must not end the program that
wanted the run. Only an interruption passes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dynamo_py.testing.report import Report, RunStandard, StandardRun, replay_command

Verdict = Literal["passed", "violated", "raised", "died"]
"""``raised``: an exception came out of the run; ``died``: its process gave no answer."""


class Meters(NamedTuple):
    """The real world's seconds: of the wall clock, and of this process's CPU time."""

    wall_s: Callable[[], float]
    cpu_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run, with the real seconds it took.

    ``report`` is None where there was an exception, and ``error`` has the traceback then.
    """

    run: StandardRun
    verdict: Verdict
    report: Report | None = None
    error: str | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def is_passed(self) -> bool:
        """Whether nothing was found."""
        return self.verdict == "passed"

    @property
    def violations(self) -> tuple[str, ...]:
        """What the checkers found; for a run without a report its error's last line."""
        if self.report is not None:
            return self.report.violations
        lines = (self.error or "").strip().splitlines()
        return (lines[-1].strip() if lines else "nothing is known",)

    @property
    def trace(self) -> str | None:
        """The digest of all that happened, None where the run did not come to its end."""
        return None if self.report is None else self.report.trace

    def document(self) -> dict[str, object]:
        """All of it, for JSON; seconds and counts."""
        return {
            "run": self.run,
            "verdict": self.verdict,
            "report": self.report,
            "error": self.error,
            "replay": None if self.is_passed else replay_command(self.run),
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "trace": self.trace,
        }


def carry_out(run: StandardRun, run_standard: RunStandard, meters: Meters) -> Outcome:
    """``run_standard(run)``, measured; raises nothing but `KeyboardInterrupt`."""
    wall_s, cpu_s = meters.wall_s(), meters.cpu_s()
    report: Report | None = None
    error: str | None = None
    try:
        report = run_standard(run)
    except KeyboardInterrupt:
        raise
    except BaseException as bug:
        if is_interruption(bug):
            raise KeyboardInterrupt from None
        error = "".join(traceback.format_exception(bug))
    spent = (meters.wall_s() - wall_s, meters.cpu_s() - cpu_s)
    if report is None:
        return Outcome(run, "raised", None, error, *spent)
    return Outcome(run, "violated" if report.violations else "passed", report, None, *spent)


def is_interruption(error: BaseException) -> bool:
    """Whether somebody pressed Ctrl-C, wherever in a group that ended up."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)
