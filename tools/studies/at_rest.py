"""How long a cluster takes to come to rest, as `dyn-cli cluster wait` tells it.

The command itself is run, as by an operator, so its start is part of the figure; or its
question is asked from here, seldom, where clients are not to feel it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from dyn_cli.cluster import CONDITIONS, Waiting
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.failures import Status
from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect
from studies.bars import StudyFailed, say
from studies.stored_keys import BUCKET, Values, fill

FILLED_IN_FLIGHT = 64
FILLED_REST_S = 120.0
"""How long a cluster may take to come to rest after it was filled."""
ENDS_S = 10.0
"""How much longer than its time the command may take until it has ended."""
LOOK_AGAIN_S = 1.0
"""Seldom, since an answer of all nodes takes milliseconds of each: clients would feel it."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What came of a wait."""

    seconds: float
    problem: str = ""
    """What was still waited for when the time was up; empty: nothing."""


async def wait_at_rest(cluster: DevCluster, conditions: str, *, within_s: float) -> Rest:
    """Run ``cluster wait --for CONDITIONS``; raises `StudyFailed` where it fails otherwise."""
    began_s = trio.current_time()
    done = await run_command(cluster, "cluster", "wait", "--for", conditions, within_s=within_s)
    seconds = trio.current_time() - began_s
    if done.status == Status.DONE:
        return Rest(seconds)
    if done.status == Status.NO_QUORUM_OR_TIMED_OUT:
        return Rest(seconds, done.last)
    raise StudyFailed(f"cluster wait ended with {done.status}: {done.last}")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    last: str
    """The last line that it has written, on stderr if there is one."""


async def run_command(cluster: DevCluster, *arguments: str, within_s: float) -> Ended:
    """Run a command of `dyn-cli`, with that timeout; raises `StudyFailed` if it does not end."""
    command = [sys.executable, "-P", "-m", "dyn_cli", *arguments, "--timeout", f"{within_s:g}"]
    for address in cluster.addresses:
        command += ["--node", address]
    with trio.move_on_after(within_s + ENDS_S):
        done = await trio.run_process(
            command,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        return Ended(done.returncode, ["it said nothing", *said][-1])
    raise StudyFailed(f"{' '.join(arguments)} has not ended {ENDS_S:g} s after its time")


async def demand_rest(
    addresses: Sequence[str],
    conditions: Sequence[str],
    *,
    within_s: float,
    look_again_s: float = LOOK_AGAIN_S,
) -> float:
    """Ask as `cluster wait` does, but seldom; when all was met, by trio's clock.

    Raises `StudyFailed` where it takes too long.
    """
    begun = [CONDITIONS[each].begin() for each in conditions]
    waiting = Waiting(_Unshown(), begun, ask_again_s=look_again_s)
    with trio.move_on_after(within_s):
        async with connect(*addresses) as store:
            await waiting.until_met(store)
            return trio.current_time()
    raise StudyFailed(f"not at rest after {within_s:g} s; waiting for: {waiting.named()}")


class _Unshown:
    """For a wait of which nobody is told how far it has come."""

    def update(self, status: str) -> None:
        """Nothing."""


async def demand_filled(cluster: DevCluster, store: Store, *, keys: int, value_bytes: int) -> None:
    """Put keys 0 to ``keys - 1`` and wait for rest; raises `StudyFailed` where that fails."""
    values = Values(value_bytes)
    filled = await fill(store.bucket(BUCKET), values, keys=keys, in_flight=FILLED_IN_FLIGHT)
    if filled.refused:
        raise StudyFailed(f"{len(filled.refused)} puts refused: {min(filled.refused.values())}")
    rest = await wait_at_rest(cluster, "hints,sync", within_s=FILLED_REST_S)
    if rest.problem:
        raise StudyFailed(rest.problem)
    say(f"{keys:,} keys in {filled.phase.seconds:.0f} s, in sync {rest.seconds:.1f} s later")
