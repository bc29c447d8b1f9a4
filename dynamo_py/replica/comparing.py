"""What two copies of a partition have to tell each other, from what each says it holds.

Pure: knows nothing of messages under way, of stores or of time. Of each key that differs
there are two version vectors. Whose vector descends the other's has nothing to learn; where
neither does, or both do and the records differ all the same (one knows of a retired write
that the other does not), both must have the other's.

Two copies never hold one dot with different values: dots are minted once. Where they do, a
disk or a program has failed, and merging cannot tell which is right. `clashing_dots` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dynamo_py.causality import Dot, Record, VersionVector, decode_context, decode_record
from dynamo_py.causality.hlc import milliseconds
from dynamo_py.errors import InvalidRequest, ProtocolError
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.wire.sync_messages import LeafRow


@dataclass(frozen=True, slots=True)
class Mending:
    """The keys whose records this node must have from the other, and those it must send.

    A key in both lists is fetched first: what is sent then is the merged record.
    """

    fetch: tuple[bytes, ...]
    push: tuple[bytes, ...]

    @property
    def keys(self) -> int:
        """How many keys differ."""
        return len(set(self.fetch) | set(self.push))


def differing(mine: Sequence[int], theirs: Sequence[int]) -> list[int]:
    """The indices at which two lists of hashes differ; `ProtocolError` at other lengths."""
    if len(mine) != len(theirs):
        raise ProtocolError(f"{len(theirs)} hashes came, {len(mine)} were asked for")
    return [index for index, hash_ in enumerate(mine) if hash_ != theirs[index]]


def mending(
    rows: Iterable[LeafRow],
    lacking: Iterable[bytes],
    copy_of: Callable[[bytes], bytes | None],
) -> Mending:
    """What to do about the other's ``rows``, and about the keys that it is ``lacking``.

    ``copy_of`` reads this node's copy as it is now: what has become equal meanwhile is no
    difference. A key that the other holds with another record may be in both arguments.
    Raises `ProtocolError` at a row whose context is none.
    """
    fetch: list[bytes] = []
    push: list[bytes] = []
    listed = set()
    for row in rows:
        listed.add(row.key)
        copy = copy_of(row.key)
        if copy is not None and digest_of(row.key, copy) == row.digest:
            continue
        is_behind, is_ahead = _standing(copy, _vector(row))
        if is_behind:
            fetch.append(row.key)
        if is_ahead:
            push.append(row.key)
    push += [key for key in lacking if key not in listed and copy_of(key) is not None]
    return Mending(tuple(fetch), tuple(push))


def _standing(copy: bytes | None, theirs: VersionVector) -> tuple[bool, bool]:
    """Whether this node's copy lacks something of the other's, and the other's of this one."""
    if copy is None:
        return True, False
    mine = decode_record(copy).vector
    knows_theirs, is_known = mine.descends(theirs), theirs.descends(mine)
    if knows_theirs == is_known:
        return True, True
    return is_known, knows_theirs


def _vector(row: LeafRow) -> VersionVector:
    try:
        return decode_context(row.context).vector
    except InvalidRequest:
        raise ProtocolError("a leaf's row without a context") from None


def clashing_dots(mine: Record, theirs: Record) -> list[Dot]:
    """The dots under which the two hold different siblings: there is none, unless by a fault."""
    held = {sibling.dot: sibling for sibling in mine.siblings}
    return [s.dot for s in theirs.siblings if held.get(s.dot, s) != s]


def newest_ms(record: Record) -> int:
    """When the newest write in it was made, in milliseconds since 1970; 0 where none is left."""
    return milliseconds(record.context().timestamp)
