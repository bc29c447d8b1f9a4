"""The memory of slow requests: the last one of each key, and of so many keys."""

from __future__ import annotations

from dynamo_py.coordinator.slow import KEYS_MAX, SLOW_S, SlowRequests, Trail


def trail_of(took_s: float, *, what: str = "get") -> Trail:
    now = iter((10.0, 10.0 + took_s))
    trail = Trail(what, lambda: next(now))
    trail.mark("answered", b"n" * 16)
    return trail


def test_only_slow_requests_are_kept():
    slow = SlowRequests()
    slow.note(b"fast", trail_of(SLOW_S / 2))
    slow.note(b"slow", trail_of(SLOW_S * 2))
    assert slow.find(b"fast") is None
    assert slow.find(b"slow") is not None


def test_the_last_slow_request_of_a_key_takes_the_place_of_the_one_before():
    slow = SlowRequests()
    slow.note(b"k", trail_of(1))
    last = trail_of(2)
    slow.note(b"k", last)
    assert slow.find(b"k") is last


def test_a_bounded_number_of_keys_is_kept_the_latest():
    slow = SlowRequests()
    for k in range(KEYS_MAX + 1):
        slow.note(b"%d" % k, trail_of(1))
    slow._check()
    assert slow.find(b"0") is None
    assert slow.find(b"%d" % KEYS_MAX) is not None


def test_a_trail_says_who_did_what_when():
    (line,) = trail_of(0.25, what="put").lines(lambda node: "n1")
    assert line.split() == ["250.0", "ms", "put:", "n1", "answered"]


def test_a_trail_without_steps_took_no_time():
    assert Trail("get", lambda: 1.0).took_s == 0
