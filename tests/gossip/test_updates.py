from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossip.updates import CORE, UpdateQueue, retransmissions


def key(number: int) -> tuple[bytes, int]:
    return (bytes([number]), CORE)


def take(queue: UpdateQueue, bytes_max: int, tellings_max: int = 100) -> list[tuple[bytes, int]]:
    return queue.take(bytes_max=bytes_max, tellings_max=tellings_max, bytes_of=lambda _: 10)


def test_the_least_told_rumour_is_told_first():
    queue = UpdateQueue(10)
    queue.put(key(1))
    queue.put(key(2))
    assert take(queue, 10) == [key(1)]
    queue.put(key(3))
    assert take(queue, 20) == [key(2), key(3)]
    assert take(queue, 30) == [key(1), key(2), key(3)]


def test_a_rumour_is_told_so_often_and_no_more():
    queue = UpdateQueue(10)
    queue.put(key(1))
    told = [take(queue, 100, tellings_max=3) for _ in range(5)]
    assert told == [[key(1)]] * 3 + [[]] * 2
    assert len(queue) == 0


def test_news_of_the_same_is_told_from_the_start():
    queue = UpdateQueue(10)
    queue.put(key(1))
    take(queue, 100, tellings_max=2)
    queue.put(key(1))
    told = [take(queue, 100, tellings_max=2) for _ in range(3)]
    assert told == [[key(1)], [key(1)], []]


def test_one_that_is_too_big_goes_alone_rather_than_never():
    queue = UpdateQueue(10)
    queue.put(key(1))
    queue.put(key(2))
    assert take(queue, 5) == [key(1)]


def test_a_full_queue_drops_the_most_told_and_counts_it():
    queue = UpdateQueue(2)
    queue.put(key(1))
    take(queue, 10)
    queue.put(key(2))
    queue.put(key(3))
    assert key(1) not in queue
    assert (queue.statistics().waiting, queue.statistics().dropped) == (2, 1)


def test_what_is_forgotten_of_a_node_is_told_no_more():
    queue = UpdateQueue(10)
    for topic in (CORE, 1, 2):
        queue.put((b"gone", topic))
    queue.put(key(1))
    queue.discard_node(b"gone")
    assert take(queue, 100) == [key(1)]


@pytest.mark.parametrize(("members", "expected"), [(1, 2), (2, 4), (3, 4), (100, 14), (1000, 20)])
def test_tellings_grow_with_the_logarithm(members, expected):
    assert retransmissions(members, 2.0) == expected


@given(st.integers(1, 10_000), st.floats(1, 10))
def test_a_rumour_is_told_at_least_once(members, factor):
    assert retransmissions(members, factor) >= 1


class QueueAgainstModel(RuleBasedStateMachine):
    """The queue does what a plain list, sorted anew each time, would do."""

    def __init__(self):
        super().__init__()
        self.queue = UpdateQueue(6)
        self.model: list[tuple[int, int, tuple[bytes, int]]] = []  # (told, order, key)
        self.order = 0

    @rule(number=st.integers(0, 9))
    def put(self, number):
        self.queue.put(key(number))
        self.model = [entry for entry in self.model if entry[2] != key(number)]
        if len(self.model) >= 6:
            most = max(entry[0] for entry in self.model)
            self.model.remove(min(entry for entry in self.model if entry[0] == most))
        self.order += 1
        self.model.append((0, self.order, key(number)))

    @rule(count=st.integers(1, 4), tellings_max=st.integers(1, 4))
    def take(self, count, tellings_max):
        taken = take(self.queue, count * 10, tellings_max)
        expected = sorted(self.model)[:count]
        assert taken == [entry[2] for entry in expected]
        for entry in expected:
            self.model.remove(entry)
            if entry[0] + 1 < tellings_max:
                self.order += 1
                self.model.append((entry[0] + 1, self.order, entry[2]))

    @invariant()
    def is_consistent(self):
        self.queue._check()
        assert len(self.queue) == len(self.model)


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(max_examples=40, stateful_step_count=30)
