"""Tests of the named generators."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.randomness import Streams


def draws(seed: int, name: str) -> list[float]:
    """The beginning of a sequence."""
    generator = Streams(seed).named(name)
    return [generator.random() for _ in range(5)]


@given(st.integers(), st.text())
def test_the_same_seed_and_name_give_the_same_sequence(seed: int, name: str) -> None:
    assert draws(seed, name) == draws(seed, name)


@given(
    st.tuples(st.integers(), st.text()),
    st.tuples(st.integers(), st.text()),
)
def test_another_seed_or_name_gives_another_sequence(
    one: tuple[int, str], other: tuple[int, str]
) -> None:
    assert (draws(*one) == draws(*other)) == (one == other)


def test_a_name_asked_for_again_begins_anew_whatever_others_drew() -> None:
    streams = Streams(7)
    first = streams.named("network").random()
    streams.named("disk").random()
    assert streams.named("network").random() == first


def test_the_sequence_is_the_same_in_every_process() -> None:
    program = (
        "from dynamo_py.testing.randomness import Streams;"
        "print(Streams(7).named('network').getrandbits(64))"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for salt in ("1", "2")
    }
    assert drawn == {f"{Streams(7).named('network').getrandbits(64)}\n"}
