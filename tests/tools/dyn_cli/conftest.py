"""A cluster that is played: commands get its answers in place of a store's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from dynamo_py.errors import DeadlineExceeded


class PlayedAdmin:
    """Answers each question with what is queued for it, the last one for ever, and notes it."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any, **named: Any) -> Any:
            await trio.lowlevel.checkpoint()
            named.pop("timeout", None)
            self.asked.append((name, arguments, named))
            queued = self.answers[name]
            answer = queued.pop(0) if len(queued) > 1 else queued[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedAdmin:
    """The cluster that commands about members, transfers and the ring ask."""
    admin = PlayedAdmin()

    def with_store(settings: Any, work: Any, *, timeout_s: float | None) -> Any:
        async def limited() -> Any:
            with trio.move_on_after(timeout_s or 1000):
                return await work(SimpleNamespace(admin=admin))
            raise DeadlineExceeded("not done")

        return trio.run(limited, clock=trio.testing.MockClock(autojump_threshold=0))

    for module in ("changes", "transfers", "ring", "cluster"):
        monkeypatch.setattr(f"dyn_cli.{module}.with_store", with_store)
    return admin
