"""What counts: what lies in the window, and no more of it than was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.recording import Recorder, Window
from dyn_cli.bench.workloads import Kind

MOMENTS = st.lists(st.integers(0, 100), max_size=50).map(sorted)


@given(MOMENTS, st.integers(0, 100), st.integers(0, 100))
def test_operations_outside_the_window_do_not_count(moments, begin, length):
    recorder = Recorder(Window(float(begin), float(begin + length)))
    for place, moment in enumerate(moments):
        if place % 3:
            recorder.succeeded(Kind.READ, at_s=float(moment), latency_s=1.0)
        else:
            recorder.failed("QuorumNotMet", at_s=float(moment))
    counting = [m for m in enumerate(moments) if begin <= m[1] < begin + length]
    assert recorder.operations == sum(place % 3 > 0 for place, _ in counting)
    assert recorder.ended == len(counting)
    assert recorder.seconds == length


@given(MOMENTS, st.integers(1, 20))
def test_a_number_of_operations_ends_the_window(moments, wanted):
    recorder = Recorder(Window(0.0, operations_max=wanted))
    for moment in moments:
        assert recorder.is_over(float(moment)) == (recorder.ended == wanted)
        recorder.succeeded(Kind.READ, at_s=float(moment), latency_s=1.0)
    assert recorder.ended == min(wanted, len(moments))
    if len(moments) >= wanted:
        assert recorder.seconds == moments[wanted - 1]


def test_latencies_are_kept_by_kind_and_together():
    recorder = Recorder(Window(0.0, 10.0))
    recorder.succeeded(Kind.READ, at_s=1.0, latency_s=0.001)
    recorder.succeeded(Kind.UPDATE, at_s=2.0, latency_s=0.002)
    assert recorder.latencies[Kind.READ].highest_ns == 1_000_000
    assert recorder.all_latencies().count == 2
    assert recorder.all_latencies().highest_ns == 2_000_000
