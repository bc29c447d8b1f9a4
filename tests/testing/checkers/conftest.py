"""Short words for hand-made histories of one key, "k"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from dynamo_py.testing.history import History, Outcome, Read, Write

LASTS_S = 0.5


def make_write(
    name: str,
    *,
    saw: Iterable[str] = (),
    at: float = 1.0,
    until: float | None = None,
    client: str = "c1",
    outcome: Outcome = Outcome.ACKNOWLEDGED,
    is_delete: bool = False,
    degraded: bool = False,
    key: str = "k",
) -> Write:
    """A put, acknowledged after half a second unless said otherwise."""
    ended_s = at + LASTS_S if until is None else until
    return Write(key, name, is_delete, frozenset(saw), client, at, ended_s, outcome, degraded)


def make_delete(name: str, **facts) -> Write:
    """A delete, acknowledged after half a second unless said otherwise."""
    return make_write(name, is_delete=True, **facts)


def make_read(
    *found: str,
    at: float = 10.0,
    until: float | None = None,
    client: str = "c9",
    degraded: bool = False,
    key: str = "k",
) -> Read:
    """A read that took half a second unless said otherwise."""
    ended_s = at + LASTS_S if until is None else until
    return Read(key, client, frozenset(found), at, ended_s, degraded)


def make_history(*told: Write | Read, final: Iterable[str] = ()) -> History:
    """A history of these, in which "k" has ``final`` in the end."""
    return History(
        [each for each in told if isinstance(each, Write)],
        [each for each in told if isinstance(each, Read)],
        {"k": frozenset(final)},
    )


@pytest.fixture(scope="session")
def put() -> Callable[..., Write]:
    return make_write


@pytest.fixture(scope="session")
def delete() -> Callable[..., Write]:
    return make_delete


@pytest.fixture(scope="session")
def read() -> Callable[..., Read]:
    return make_read


@pytest.fixture(scope="session")
def history() -> Callable[..., History]:
    return make_history
