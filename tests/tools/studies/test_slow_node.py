"""What is made of the latencies around a slow node."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bench.load import Sample
from studies.bars import StudyFailed
from studies.slow_node import Gets, Scene, scene_of
from studies.windows import Window


def gets_at(latencies_ms: dict[float, float], **failed: int) -> Gets:
    """Gets that began at those moments, in seconds."""
    samples = [Sample(at_s, took_ms / 1000) for at_s, took_ms in latencies_ms.items()]
    return Gets(cast(Any, None), 10, samples, failed)


def test_only_what_began_in_a_window_counts_in_it():
    gets = gets_at({0.0: 1.0, 4.9: 2.0, 5.5: 900.0, 6.0: 3.0, 14.0: 4.0, 15.0: 800.0}, Late=2)
    scene = scene_of("is stopped", gets, Window(0.0, 5.0), Window(6.0, 15.0))
    assert scene == Scene("is stopped", 2.0, 4.0, 4.0, 2, 2)


def test_a_window_without_a_get_is_no_figure():
    with pytest.raises(StudyFailed, match="no request"):
        scene_of("stutters", gets_at({0.0: 1.0}), Window(0.0, 5.0), Window(6.0, 15.0))


@pytest.mark.parametrize(
    ("slow_ms", "failed", "met"),
    [(29.9, 0, [True, True]), (30.1, 0, [False, True]), (1.0, 1, [True, False])],
)
def test_a_scene_is_held_against_three_times_the_healthy_p99_and_no_failure(slow_ms, failed, met):
    scene = Scene("stutters", 10.0, slow_ms, 99.0, 1000, failed)
    assert [bar.is_met for bar in scene.bars()] == met
