"""Ready-made resolvers: from the values of a key's siblings, oldest first, to one value.

A resolver is a plain function. To lose nothing it must be commutative, associative and
idempotent in effect: several clients may resolve the same siblings at once, each in its own
way, and resolve the results again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dynamo_py.client.carts import merge_documents, merge_values
from dynamo_py.config import LAST_WRITE_WINS
from dynamo_py.errors import InvalidRequest

Resolver = Callable[[Sequence[Any]], Any]


def named(name: str) -> Resolver:
    """The resolver that a bucket's property names; raises `InvalidRequest`."""
    found = _BY_NAME.get(name)
    if found is None:
        raise InvalidRequest(f"there is no resolver {name!r}: this client may be too old")
    return found


def last_write_wins(values: Sequence[Any]) -> Any:
    """The youngest value by its hybrid timestamp; the others are lost."""
    return values[-1]


def union(values: Sequence[Any]) -> Any:
    """All elements of lists, sets or dicts; of one dict key with two values the youngest's.

    What one side has removed and another still has comes back: removal leaves no trace in a
    plain list or set. Raises `InvalidRequest` for other types.
    """
    first = values[0]
    if isinstance(first, dict) and all(isinstance(v, dict) for v in values):
        return {key: value for v in values for key, value in v.items()}
    if isinstance(first, set | frozenset) and all(isinstance(v, set | frozenset) for v in values):
        return type(first)().union(*values)
    if isinstance(first, list | tuple) and all(isinstance(v, list | tuple) for v in values):
        merged: list[Any] = []
        for v in values:
            merged += [element for element in v if element not in merged]
        return type(first)(merged)
    raise InvalidRequest(
        "union merges lists, sets or dicts: name a codec for the bucket, or write a resolver"
    )


def cart(values: Sequence[Any]) -> Any:
    """The cart that has seen what each of these has: see `dynamo_py.carts`.

    Nothing that was added beside a removal is lost, nothing that was removed comes back. For
    values as `dynamo_py.carts.encode_cart` makes them, or, with a codec, what that JSON stands
    for. Raises `BrokenCart`, an `InvalidRequest`, for other values.
    """
    if all(isinstance(value, bytes) for value in values):
        return merge_values(values)
    return merge_documents(values)


_BY_NAME: dict[str, Resolver] = {LAST_WRITE_WINS: last_write_wins, "union": union, "cart": cart}
