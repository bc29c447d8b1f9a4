"""A write that is repeated: carried out, known already, or too late for anyone to tell which."""

from __future__ import annotations

import pytest

from dynamo_py.causality import NOTHING_SEEN, decode_record
from dynamo_py.causality.attempts import ATTEMPTS_MAX
from dynamo_py.errors import DeadlineExceeded
from dynamo_py.replica.replica import Write, Written

P = 3
KEY = b"bucket\0key"


def store(node, write: Write) -> Written:
    return node.replica.write(P, KEY, write, hinted_for=None, on_commit=lambda error: None)


def values(node) -> list[bytes | None]:
    return [s.value for s in decode_record(node.replica.get(P, KEY)).siblings]


def repeat(node, began_ms: int) -> Written:
    """The second attempt of the write that `overwrite` begins with, elsewhere than its first."""
    return store(node, Write(NOTHING_SEEN, b"first", bytes(16), True, 0, began_ms))


def overwrite(node, times: int) -> int:
    """A write, and ``times`` more that supersede one another; when the first was made."""
    began_ms = node.now_ms
    context = store(node, Write(NOTHING_SEEN, b"first", bytes(16), False, 0)).context
    for number in range(1, times + 1):
        node.now_ms += 10
        write = Write(context, b"%d" % number, number.to_bytes(16, "big"), False, 0)
        context = store(node, write).context
    return began_ms


def test_a_repeat_of_a_write_that_is_remembered_adds_nothing(node):
    began_ms = overwrite(node, ATTEMPTS_MAX)
    repeat(node, began_ms)
    assert values(node) == [b"%d" % ATTEMPTS_MAX]


def test_a_repeat_that_may_be_of_a_forgotten_write_is_refused_as_unknown(node):
    began_ms = overwrite(node, ATTEMPTS_MAX + 1)
    before = node.replica.get(P, KEY)
    with pytest.raises(DeadlineExceeded, match="read the key") as caught:
        repeat(node, began_ms)
    assert caught.value.outcome == "unknown"
    assert node.replica.get(P, KEY) == before


def test_a_repeat_that_is_younger_than_all_that_is_remembered_is_carried_out(node):
    overwrite(node, ATTEMPTS_MAX + 1)
    store(node, Write(NOTHING_SEEN, b"new", b"n" * 16, True, 0, node.now_ms))
    assert b"new" in values(node)
