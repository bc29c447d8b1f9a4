"""The load generator, against servers that are played: what it asks, and what counts as done."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from bench.peers import loadgen
from dyn_cli.failures import Refused

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

Handler = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return loadgen.built(tmp_path_factory.mktemp("loadgen"))


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """The address of a server while the body runs."""

    async def serve(stream: trio.SocketStream) -> None:
        # At its end the generator leaves requests unanswered.
        with suppress(trio.BrokenResourceError):
            await handler(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


class PlayedValkey:
    """Answers whole commands; ``replicas`` is what WAIT and WAITAOF tell."""

    def __init__(self, replicas: int = 1) -> None:
        self._replicas = replicas
        self.keys: list[bytes] = []
        self.commands: set[bytes] = set()

    async def __call__(self, stream: trio.SocketStream) -> None:
        left = b""
        async for data in stream:
            left += data
            while (command := self._first(left)) is not None:
                words, left = command
                await stream.send_all(self._answer(words))

    def _first(self, data: bytes) -> tuple[list[bytes], bytes] | None:
        """The words of the first command and what comes after it, once it is all there."""
        found = re.match(rb"\*(\d+)\r\n", data)
        words: list[bytes] = []
        place = found.end() if found else 0
        for _ in range(int(found[1]) if found else 0):
            size = re.compile(rb"\$(\d+)\r\n").match(data, place)
            if size is None or len(data) < size.end() + int(size[1]) + 2:
                return None
            words.append(data[size.end() : size.end() + int(size[1])])
            place = size.end() + int(size[1]) + 2
        return (words, data[place:]) if found else None

    def _answer(self, words: list[bytes]) -> bytes:
        self.commands.add(words[0])
        match words[0]:
            case b"SET":
                self.keys.append(words[1])
                return b"+OK\r\n"
            case b"GET":
                return b"$3\r\nabc\r\n" if words[1] in self.keys else b"$-1\r\n"
            case b"WAIT":
                return b":%d\r\n" % self._replicas
            case _:
                return b"*2\r\n:1\r\n:%d\r\n" % self._replicas


async def ask(program, protocol, operation, address, *, is_once=True, seconds=0.0):
    return await loadgen.run(
        program,
        protocol,
        operation,
        [address],
        connections=3,
        records=10,
        value_bytes=100,
        seconds=seconds,
        is_once=is_once,
    )


@pytest.mark.parametrize("operation", ["set", "set-wait", "set-waitaof"])
async def test_each_record_is_written_once(program, operation):
    server = PlayedValkey()
    async with served(server) as address:
        answer = await ask(program, "redis", operation, address)
    assert sorted(server.keys) == [b"k%09d" % number for number in range(10)]
    assert server.commands - {b"SET"} <= {b"WAIT", b"WAITAOF"}
    assert (answer.operations, answer.ended, answer.failed) == (10, 10, 0)
    assert answer.latency.count == 10
    assert answer.percentiles_ms["50"] <= answer.percentiles_ms["99"] <= answer.max_ms


@pytest.mark.parametrize("operation", ["set-wait", "set-waitaof"])
async def test_a_write_that_no_replica_has_is_an_error(program, operation):
    async with served(PlayedValkey(replicas=0)) as address:
        assert await ask(program, "redis", operation, address) is None


async def test_a_key_that_is_missing_is_an_error(program):
    server = PlayedValkey()
    server.keys.append(b"k000000003")
    async with served(server) as address:
        answer = await ask(program, "redis", "get", address)
    assert (answer.operations, answer.failed) == (1, 9)


async def test_a_loop_goes_on_for_as_long_as_it_was_asked(program):
    async with served(PlayedValkey()) as address:
        answer = await ask(program, "redis", "set", address, is_once=False, seconds=0.2)
    assert answer.seconds == pytest.approx(0.2, abs=0.2)
    assert answer.operations > 10


class PlayedEtcd:
    """Answers each call of gRPC with so many bytes, or with an error in the headers alone."""

    def __init__(self, answer_bytes: int) -> None:
        self._answer_bytes = answer_bytes
        self.calls = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        data = b""
        async for part in stream:
            data += part
            data = data.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
                if kind == 0 and flags & 1:
                    self.calls += 1
                    await stream.send_all(self._answer(data[5:9]))
                data = data[9 + length :]

    def _answer(self, stream: bytes) -> bytes:
        if not self._answer_bytes:
            return self._frame(1, 5, stream, b"")
        whole = self._frame(1, 4, stream, b"")
        for _ in range(2):  # Cut in two, as long replies may be.
            whole += self._frame(0, 0, stream, bytes(self._answer_bytes // 2))
        return whole + self._frame(1, 5, stream, b"")

    def _frame(self, kind: int, flags: int, stream: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream + body


@pytest.mark.parametrize(
    ("operation", "answer_bytes", "is_done"),
    [("put", 20, True), ("put", 0, False), ("get", 140, True), ("get", 20, False)],
)
async def test_a_call_is_done_when_its_reply_has_what_was_asked_for(
    program, operation, answer_bytes, is_done
):
    server = PlayedEtcd(answer_bytes)
    async with served(server) as address:
        answer = await ask(program, "etcd", operation, address)
    assert server.calls == 10
    assert (None if answer is None else answer.operations) == (10 if is_done else None)


async def test_a_server_that_is_not_there_is_refused(program, unused_port):
    with pytest.raises(Refused, match="connect"):
        await ask(program, "redis", "get", f"127.0.0.1:{unused_port}")


async def test_other_machines_are_not_loaded(program):
    with pytest.raises(Refused, match="loopback only"):
        await ask(program, "redis", "get", "192.0.2.1:1")


@pytest.fixture
def unused_port():
    """Where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_it_is_compiled_anew_only_when_its_source_has_changed(program):
    before = program.stat().st_mtime_ns
    assert loadgen.built(program.parent) == program
    assert program.stat().st_mtime_ns == before


def test_without_a_compiler_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="no C compiler"):
        loadgen.built(tmp_path / "none")
