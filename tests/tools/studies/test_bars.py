"""Bars are met or missed, and a study ends with a status that says so."""

from __future__ import annotations

import math
import os
import signal

import pytest
import trio

from dyn_cli.failures import Refused
from studies.bars import INTERRUPTED, MET, MISSED, Bar, StudyFailed, play

GOOD = Bar("waiting", 29.5, 30, "s")
BAD = Bar("waiting", 30.5, 30, "s")


def study(*bars: Bar):
    async def found() -> tuple[Bar, ...]:
        return bars

    return found


@pytest.mark.parametrize(
    ("measured", "excludes_bound", "is_met"),
    [
        (1.9, True, True),
        (2.0, True, False),
        (2.0, False, True),
        (2.1, False, False),
        (math.inf, False, False),
    ],
)
def test_a_bar_is_met_up_to_its_bound(measured, excludes_bound, is_met):
    assert Bar("figure", measured, 2.0, excludes_bound=excludes_bound).is_met is is_met


def test_a_bar_shows_its_figure_and_its_bound():
    assert GOOD.row() == ("waiting", "29.50 s", "at most 30 s", "met")
    assert BAD.row() == ("waiting", "30.50 s", "at most 30 s", "MISSED")
    exact = Bar("bytes", 1234, 200, "bytes", excludes_bound=True)
    assert exact.row() == ("bytes", "1,234 bytes", "under 200 bytes", "MISSED")
    assert Bar("waiting", math.inf, 30, "s").row()[1] == "given up"


def test_the_exit_status_says_whether_all_bars_are_met(capsys):
    assert play(study(GOOD, GOOD)) == MET
    assert play(study(GOOD, BAD)) == MISSED
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize("error", [StudyFailed("no rest"), Refused("no rest")])
def test_what_cannot_be_measured_is_missed_and_says_why(capsys, error):
    async def fail() -> tuple[Bar, ...]:
        raise error

    assert play(fail) == MISSED
    assert capsys.readouterr().err == "FAILED: no rest\n"


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_study_that_clears_up_first(capsys, which):
    cleared: list[str] = []

    async def interrupted() -> tuple[Bar, ...]:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(trio.sleep_forever)
                os.kill(os.getpid(), which)
        finally:
            cleared.append("cluster")
        return (GOOD,)

    assert play(interrupted) == INTERRUPTED
    assert cleared == ["cluster"]
    assert capsys.readouterr().err == "interrupted\n"
