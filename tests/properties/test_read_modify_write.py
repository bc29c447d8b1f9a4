"""Clients that read, modify and write one key leave no explosion of siblings."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.causality import EMPTY, NOTHING_SEEN, Context, Minter, Record, Sibling, merge_all

KEY = b"cart:alice"
ROUNDS = 100


class Replicas:
    """Copies of one key, whose coordinators mint and which meet when told to."""

    def __init__(self, number: int) -> None:
        randomness = random.Random(1)
        self.minters = [Minter(randomness) for _ in range(number)]
        self.records: list[Record] = [EMPTY] * number
        self.written = 0

    def put(self, at: int, context: Context) -> Context:
        """A put; gives what its reply says: the client's context and its own dot."""
        record = self.records[at]
        self.written += 1
        dot = self.minters[at].mint(KEY, record.vector)
        value = write_id = b"%d" % self.written
        sibling = Sibling(dot, value, self.written, write_id)
        self.records[at] = record.update(context, sibling)
        return context.with_write(sibling)

    def meet(self, at: int, other: int) -> None:
        self.records[at] = self.records[at].merge(self.records[other])


choices = st.lists(st.integers(0, 2**16 - 1), min_size=2 * ROUNDS, max_size=2 * ROUNDS)


@settings(max_examples=30)
@given(choices, st.integers(1, 3))
def test_two_clients_that_read_before_each_of_100_writes_leave_at_most_2_siblings(order, number):
    """Reads and writes interleave anyhow, through any replicas, which meet now and then."""
    replicas = Replicas(number)
    contexts = [NOTHING_SEEN, NOTHING_SEEN]
    for choice in order:
        client, at, other = choice % 2, choice // 2 % number, choice // 8 % number
        if choice & 64:
            contexts[client] = contexts[client].merge(replicas.records[at].context())
        else:
            contexts[client] = replicas.put(at, contexts[client])
        if choice & 128:
            replicas.meet(at, other)
        assert all(record.writes() <= 2 for record in replicas.records)
    assert merge_all(replicas.records).writes() <= 2


def test_two_clients_that_go_on_from_their_own_replies_leave_2_siblings():
    """Neither reads again, so neither may bury what it never saw of the other."""
    replicas = Replicas(1)
    contexts = [NOTHING_SEEN, NOTHING_SEEN]
    for turn in range(2 * ROUNDS):
        contexts[turn % 2] = replicas.put(0, contexts[turn % 2])
    assert [s.value for s in replicas.records[0].siblings] == [b"199", b"200"]


def test_many_writes_through_one_copy_keep_one_entry_in_the_vector():
    replicas = Replicas(1)
    context = NOTHING_SEEN
    for _ in range(ROUNDS):
        context = replicas.put(0, context)
    record = replicas.records[0]
    assert (len(record.vector.entries), record.vector.cloud) == (1, ())
    assert context.vector == record.vector


@given(st.integers(1, 40))
def test_writes_without_a_context_each_stay_until_one_has_seen_them_all(number):
    replicas = Replicas(1)
    for _ in range(number):
        replicas.put(0, NOTHING_SEEN)
    assert replicas.records[0].writes() == number
    replicas.put(0, replicas.records[0].context())
    assert replicas.records[0].writes() == 1
