"""What is noted of each call: the write, what it had seen, when it began and ended, how."""

from __future__ import annotations

import random

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.errors import DeadlineExceeded, NodeUnavailable
from dynamo_py.testing.history import Outcome, Read, Write
from dynamo_py.testing.workloads.recording import Recording, value_of, write_of
from dynamo_py.testing.workloads.workload import Client
from dynamo_py.wire import messages as wire

KEY = "register-0"


@pytest.fixture
def recording():
    return Recording("registers", (KEY,))


@pytest.fixture
def client(world):
    """Its clock goes on by a second whenever it is asked."""
    seconds = iter(range(1_000))
    return Client("c1", world.store, random.Random(1), lambda: float(next(seconds)))


async def test_writes_and_reads_are_noted_with_what_they_saw_and_when(recording, client):
    first = await recording.put(client, KEY, context=None)
    second = await recording.put(client, KEY, context=first)
    found = await recording.get(client, KEY)
    deleted = await recording.delete(client, KEY, context=found)
    nothing = await recording.get(client, KEY)
    await recording.put(client, KEY, context=nothing)
    await recording.put(client, KEY, context=deleted)

    def write(number, saw, began_s, *, is_delete=False):
        ended_s = began_s + 1
        how = (Outcome.ACKNOWLEDGED, False)
        return Write(KEY, f"c1-{number}", is_delete, frozenset(saw), "c1", began_s, ended_s, *how)

    assert recording.history.writes == [
        write(0, [], 0.0),
        write(1, ["c1-0"], 2.0),
        write(2, ["c1-1"], 6.0, is_delete=True),
        write(3, [], 10.0),
        write(4, ["c1-2"], 12.0),
    ]
    assert recording.history.reads == [
        Read(KEY, "c1", frozenset(["c1-1"]), 4.0, 5.0, False),
        Read(KEY, "c1", frozenset(), 8.0, 9.0, False),
    ]
    assert second.siblings_count == 1
    assert nothing.is_empty
    assert not found.is_empty


async def test_what_is_owed_is_told_as_writes_begin_and_end(recording, client, monkeypatch):
    first = await recording.put(client, KEY, context=None)
    assert recording.owed.of(KEY) == {"c1-0": False}
    send = type(client.store.bucket("registers")).put

    async def look_and_send(*arguments, **named):
        assert recording.owed.of(KEY) == {}, "the put under way may have taken its place"
        return await send(*arguments, **named)

    monkeypatch.setattr(type(client.store.bucket("registers")), "put", look_and_send)
    second = await recording.put(client, KEY, context=first)
    assert recording.owed.of(KEY) == {"c1-1": False}
    await recording.delete(client, KEY, context=second)
    assert recording.owed.of(KEY) == {}, "a delete is no value that must be there"


async def test_all_siblings_are_seen_by_who_reads_them(recording, client):
    for _ in range(3):
        stored = await recording.put(client, KEY, context=None)
    assert stored.siblings_count == 3
    found = await recording.get(client, KEY)
    assert (found.writes, found.siblings_count) == (frozenset(["c1-0", "c1-1", "c1-2"]), 3)
    await recording.put(client, KEY, context=found)
    assert recording.history.writes[-1].saw == found.writes


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DeadlineExceeded("late"), Outcome.UNKNOWN),
        (NodeUnavailable("gone", outcome="not_applied"), Outcome.NOT_APPLIED),
    ],
)
async def test_a_failed_write_is_noted_and_gives_no_context(
    world, recording, client, error, outcome
):
    def fail(message):
        raise error

    world.spoiled.spoil = fail
    assert await recording.put(client, KEY, context=None) is None
    (write,) = recording.history.writes
    assert (write.outcome, write.began_s, write.ended_s) == (outcome, 0.0, 1.0)
    assert write.degraded, "nothing is promised of it"


async def test_a_failed_get_is_counted_and_not_noted(world, recording, client):
    def fail(message):
        raise DeadlineExceeded("late")

    world.spoiled.spoil = fail
    assert await recording.get(client, KEY) is None
    assert recording.history.reads == []
    assert recording.statistics().not_applied == 1


async def test_a_cancelled_write_leaves_one_with_unknown_outcome(world, recording, client):
    with trio.CancelScope() as scope:
        scope.cancel()
        await recording.put(client, KEY, context=None)
    assert scope.cancelled_caught
    (write,) = recording.history.writes
    assert (write.write, write.outcome) == ("c1-0", Outcome.UNKNOWN)
    assert recording.statistics().unknown == 1


async def test_degraded_replies_are_noted_as_such(world, recording, client):
    def degraded(message):
        if isinstance(message, wire.Get):
            return wire.Fetched(None, 0, ["data"], True, 1)
        return wire.Stored(b"", ["data"], [], True, 1, 1)

    world.spoiled.spoil = degraded
    await recording.put(client, KEY, context=None)
    await recording.get(client, KEY)
    assert recording.history.writes[0].degraded
    assert recording.history.reads[0].degraded
    assert recording.statistics().degraded == 2


async def test_a_delete_that_nobody_took_was_not_applied(world, recording, client):
    found = await recording.get(client, KEY)
    world.spoiled.spoil = lambda message: wire.Stored(b"", [], [], False, 0, 0)
    assert await recording.delete(client, KEY, context=found) is None
    assert recording.history.writes[0].outcome is Outcome.NOT_APPLIED


async def test_the_final_state_of_each_key_is_noted(world, client):
    recording = Recording("registers", (KEY, "register-1"))
    await recording.put(client, KEY, context=None)
    await recording.put(client, KEY, context=None)
    await recording.read_final(world.read)
    assert recording.history.final == {
        KEY: frozenset(["c1-0", "c1-1"]),
        "register-1": frozenset(),
    }
    assert recording.violations([lambda history: ["b", "a"]], is_lossless=True) == [
        "registers: a",
        "registers: b",
    ]


async def test_some_values_are_large(world, recording, client):
    sizes = []

    def measure(message):
        sizes.append(len(message.value))
        return wire.Stored(b"", ["data"], [], False, 1, 1)

    world.spoiled.spoil = measure
    for _ in range(400):
        await recording.put(client, KEY, context=None)
    large = [size for size in sizes if size > 16]
    assert 5 < len(large) < 60
    assert 2_000 < max(large) < 5_000


@given(st.text("c0123456789-", min_size=1), st.integers(0, 5_000))
def test_a_value_names_its_write_whatever_its_size(write, padding_bytes):
    assert write_of(value_of(write, padding_bytes=padding_bytes)) == write


@given(st.integers(1, 300), st.data())
def test_a_padded_value_with_bytes_changed_or_missing_names_no_write(padding_bytes, data):
    value = value_of("c1-1", padding_bytes=padding_bytes)
    at = data.draw(st.integers(len("c1-1\0"), len(value) - 1))
    for damaged in (value[:at], value[:at] + b"?" + value[at + 1 :], value + b"x"):
        assert write_of(damaged) != "c1-1"


def test_a_value_that_is_no_text_names_no_write():
    assert write_of(b"\xff\xfe") not in ("", "c1-1")
    assert msgspec.json.encode(write_of(b"\xff")), "and can be shown"
