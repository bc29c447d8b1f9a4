"""Many runs, spread over worker processes.

Knows nothing of terminals. A *lane* is one worker process and the runs that it takes, one at a
time; lanes that share an iterator share the work. A worker that dies, or that takes too long
with a run, costs that run alone: its lane goes on with a new one.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

import msgspec
import trio

from dynamo_py.testing.outcome import Outcome
from dynamo_py.testing.report import StandardRun
from dynamo_py.testing.worker import decoded_outcome, encoded_run

RUN_WALL_S_MAX = 600.0
"""A run that takes longer is taken to hang, and its process is killed."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A longer answer is none."""
COMPLAINT_BYTES_MAX = 4096
"""How much is shown of what a worker that died had written to stderr."""
CHUNK_BYTES = 65536
ENDING_S = 0.3
"""How long a worker may take to end by itself; a busy one is not asked twice."""


@dataclass(frozen=True, slots=True)
class Lane:
    """How to start a worker, and what it is to do. ``environment`` is the whole of it."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    runs: Iterator[StandardRun]


async def carry_out_all(
    lanes: list[Lane],
    *,
    on_outcome: Callable[[int, Outcome], None],
    run_wall_s_max: float = RUN_WALL_S_MAX,
) -> None:
    """Carry out all runs of all lanes; ``on_outcome`` is told each with its lane's number.

    When it is cancelled no worker is left.
    """
    async with trio.open_nursery() as nursery:
        for number, lane in enumerate(lanes):
            nursery.start_soon(_carry_out_lane, number, lane, on_outcome, run_wall_s_max)


KILLED_S = 5.0
"""How long a worker may take to end that is killed."""


async def _carry_out_lane(
    number: int, lane: Lane, on_outcome: Callable[[int, Outcome], None], run_wall_s_max: float
) -> None:
    with tempfile.TemporaryFile(buffering=0) as complaints:
        worker = _Worker(lane, complaints)
        try:
            for run in lane.runs:
                on_outcome(number, await worker.carry_out(run, run_wall_s_max))
        finally:
            with trio.move_on_after(KILLED_S, shield=True):
                await worker.kill()


class _WorkerDied(Exception):
    """There will be no answer."""


class _Worker:
    """One worker process, and the next one when it has died."""

    def __init__(self, lane: Lane, complaints: IO[bytes]) -> None:
        self._lane = lane
        self._complaints = complaints
        self._process: trio.Process | None = None

    async def carry_out(self, run: StandardRun, wall_s_max: float) -> Outcome:
        """The outcome of ``run``, whatever the process does."""
        began = trio.current_time()
        self._complaints.seek(0)  # The worker's own place in the file as well.
        self._complaints.truncate()
        with trio.move_on_after(wall_s_max) as limit:
            try:
                return decoded_outcome(await self._ask(encoded_run(run)))
            except (_WorkerDied, msgspec.MsgspecError) as error:
                reason = str(error)
        if limit.cancelled_caught:
            reason = f"the run was killed: it took longer than {wall_s_max:g} s"
        status = await self.kill()
        spent_s = trio.current_time() - began
        told = f"{self._complaint()}\n{reason}{status}"
        return Outcome(run, "died", None, told, spent_s)

    async def _ask(self, request: bytes) -> bytes:
        if self._process is None:
            self._process = await trio.lowlevel.open_process(
                self._lane.command,
                env=self._lane.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            await self._process.stdin.send_all(request)
            return await _line(self._process.stdout)
        except trio.BrokenResourceError:
            raise _WorkerDied("the process of the run ended") from None

    async def kill(self) -> str:
        """End the process, if there is one; its exit status in words, if it ended by itself.

        One that is idle ends when its input does.
        """
        process, self._process = self._process, None
        if process is None:
            return ""
        assert process.stdin is not None
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(ENDING_S):
                await process.wait()
            is_over = process.returncode is not None
            if not is_over:
                process.kill()
            status = await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()
        return f" with status {status}" if is_over else ""

    def _complaint(self) -> str:
        size = self._complaints.seek(0, 2)
        self._complaints.seek(max(0, size - COMPLAINT_BYTES_MAX))
        return self._complaints.read().decode(errors="replace").rstrip()


async def _line(stream: trio.abc.ReceiveStream) -> bytes:
    """The next line; a worker says nothing that it was not asked."""
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = await stream.receive_some(CHUNK_BYTES)
        if not chunk:
            raise _WorkerDied("the process of the run ended")
        received += chunk
        if len(received) > ANSWER_BYTES_MAX:
            raise _WorkerDied("the run gave an answer without end")
    return bytes(received)
