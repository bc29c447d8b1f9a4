"""Ready-made resolvers: from the values of a key's siblings, oldest first, to one value.

A resolver is a plain function. To lose nothing it must be commutative, associative and
idempotent in effect: several clients may resolve the same siblings at once, each in its own
way, and resolve the results again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dynamo_py.errors import InvalidRequest

Resolver = Callable[[Sequence[Any]], Any]


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
