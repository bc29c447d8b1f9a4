"""Waiting for commits: for all of them, those that come at once too, and for the first error."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.errors import DiskFull, StorageError
from dynamo_py.upkeep.commits import Commits


async def test_all_are_waited_for(nursery, autojump_clock):
    commits = Commits()
    ended = trio.Event()
    commits.expected = 3
    commits.note(None)

    async def wait() -> None:
        await commits.wait()
        ended.set()

    nursery.start_soon(wait)
    for _ in range(2):
        await trio.sleep(1)
        assert not ended.is_set()
        commits.note(None)
    with trio.fail_after(1):
        await ended.wait()


async def test_nothing_that_was_begun_is_nothing_to_wait_for():
    await Commits().wait()


async def test_the_first_error_is_raised_once_all_are_told():
    commits = Commits()
    commits.expected = 3
    for error in (None, DiskFull("no room"), StorageError("later")):
        commits.note(error)
    with pytest.raises(DiskFull):
        await commits.wait()
