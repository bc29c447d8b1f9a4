"""Keys with many siblings: the log says so, and is not flooded."""

from __future__ import annotations

import logging

import pytest

from dynamo_py.replica.crowded import AGAIN_MS, KEYS_MAX, CrowdedKeys


class Watched:
    """`CrowdedKeys` with a clock, and what it has logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING)
        self._caplog = caplog
        self.now_ms = 1_700_000_000_000
        self.keys = CrowdedKeys(lambda: self.now_ms)

    @property
    def logged(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]


@pytest.fixture
def watched(caplog) -> Watched:
    return Watched(caplog)


def test_a_key_is_named_once_an_hour_and_counted_each_time(watched):
    for _ in range(5):
        watched.keys.note(b"carts\0alice", 26)
    (line,) = watched.logged
    assert "key=carts/alice" in line
    assert "siblings=26" in line
    watched.now_ms += AGAIN_MS
    watched.keys.note(b"carts\0alice", 40)
    assert len(watched.logged) == 2
    assert watched.keys.figures()["puts_with_many_siblings_total"] == 6


def test_however_many_keys_there_are_the_log_names_a_bounded_number_an_hour(watched):
    for k in range(3 * KEYS_MAX):
        watched.keys.note(b"b\0%d" % k, 25)
        watched.keys._check()
    assert len(watched.logged) == KEYS_MAX
    watched.now_ms += AGAIN_MS
    watched.keys.note(b"b\0another", 25)
    assert len(watched.logged) == KEYS_MAX + 1


def test_a_clock_that_was_set_back_does_not_silence_the_log(watched):
    watched.keys.note(b"b\0k", 25)
    watched.now_ms -= 10 * AGAIN_MS
    watched.keys.note(b"b\0k", 25)
    assert len(watched.logged) == 2


def test_a_key_of_any_bytes_stays_on_its_line_and_is_cut(watched):
    watched.keys.note(b"b\0\xff\n" + b"x" * 1000, 25)
    (line,) = watched.logged
    assert "\n" not in line
    assert len(line) < 400
