"""Waits for changes that were handed to the store to be committed."""

from __future__ import annotations

import trio

from dynamo_py.errors import StorageError


class Commits:
    """Commits that were begun. One task waits."""

    def __init__(self) -> None:
        self.expected = 0
        """How many were begun: `note` is called once for each."""
        self._noted = 0
        self._error: StorageError | None = None
        self._changed = trio.Event()

    def note(self, error: StorageError | None) -> None:
        """One is done, or has failed."""
        self._noted += 1
        self._error = self._error or error
        self._changed.set()

    async def wait(self) -> None:
        """Wait until all are done; raises the first error."""
        while self._noted < self.expected:
            self._changed = trio.Event()
            await self._changed.wait()
        if self._error is not None:
            raise self._error
