"""How many answers a request needs: quorums in numbers, checked.

Pure: knows nothing of nodes. N here is the number of replicas in force, min(N, owners); it
moves with the membership only, never with a failure. (DeCandia et al. 2007, section 4.5)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from dynamo_py.errors import InvalidRequest
from dynamo_py.wire.messages import ALL, MAJORITY, Quorum


class Needs(NamedTuple):
    """What must have happened before a request is answered.

    ``answers`` replicas, each primary's place counted once, and among them ``primaries``
    primaries themselves.
    """

    answers: int
    primaries: int


def majority(n: int) -> int:
    """The smallest number of which two always overlap among ``n``."""
    return n // 2 + 1


@lru_cache
def needs_of_write(quorum: Quorum, n: int, *, is_durable: bool) -> Needs:
    """W, DW and PW of a put; raises `InvalidRequest`.

    Where ``is_durable`` every acknowledgement comes after an fsync, so that DW asks for
    nothing more than W acknowledgements when it is no larger; a larger one is waited for.
    Elsewhere nothing is durable when it is acknowledged, and an explicit DW is refused.
    """
    answers = _count("w", quorum.answers, n, unset=majority(n))
    durable = _count("dw", quorum.durable, n, unset=0)
    if durable and not is_durable:
        raise InvalidRequest("dw: this cluster's durability acknowledges before it is on disk")
    return Needs(max(answers, durable), _count("pw", quorum.primaries, n, unset=0))


@lru_cache
def needs_of_read(quorum: Quorum, n: int) -> Needs:
    """R and PR of a get; raises `InvalidRequest`."""
    answers = _count("r", quorum.answers, n, unset=majority(n))
    return Needs(answers, _count("pr", quorum.primaries, n, unset=0))


def read_before_repeating(quorum: Quorum, n: int) -> Quorum:
    """The quorum of the read that a repeated put with ``quorum`` begins with.

    A majority, so that it meets whoever took an earlier attempt or superseded one; but no more
    answers than the put itself waits for: who could write at first can repeat it too.
    """
    return Quorum(min(majority(n), needs_of_write(quorum, n, is_durable=True).answers))


def _count(name: str, asked: int, n: int, *, unset: int) -> int:
    if asked == 0:
        return unset
    if asked == ALL:
        return n
    if asked == MAJORITY:
        return majority(n)
    if not 0 < asked <= n:
        raise InvalidRequest(f"{name}={asked}: it can be 1 to {n}, the replicas in force")
    return asked
