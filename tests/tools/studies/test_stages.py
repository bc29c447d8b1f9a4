"""Sampled stacks, by the stages of a request."""

from __future__ import annotations

import pytest

from studies.stages import SCHEDULER, samples, stage_of

LOOP = (
    "run (dynamo_py/process.py:39);run (trio/_core/_run.py:2532);"
    "unrolled_run (trio/_core/_run.py:2866)"
)


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ("", SCHEDULER),
        (";Link._read (dynamo_py/net/link.py:216)", "links and sockets"),
        (
            ";Link._read (dynamo_py/net/link.py:216);decode_body (dynamo_py/wire/codec.py:126)",
            "frames and messages",
        ),
        (";Writer.write (dynamo_py/coordinator/write.py:124);mint (ring/ring.py:3)", None),
        (
            ";Signal.wait (dynamo_py/net/signal.py:51);current_task (trio/_core/_run.py:9)",
            SCHEDULER,
        ),
        (
            ";_commit (dynamo_py/storage/committer.py:290);run (contextlib.py:3)",
            "storage and commits",
        ),
        (";step (gossip/swim.py:1)", "membership and upkeep"),
        (";_tick (dynamo_py/upkeep/throttle.py:1)", "membership and upkeep"),
        (";<lambda> (<string>:1)", SCHEDULER),
    ],
)
def test_a_stack_belongs_to_the_innermost_stage_of_the_store(frames, stage):
    assert stage_of(LOOP + frames) == (stage or "membership and upkeep")


def test_the_samples_of_a_stage_are_added_up():
    lines = [f"{LOOP} 2\n", f"{LOOP};put (dynamo_py/client/bucket.py:9) 6\n", "garbage\n", "\n"]
    assert samples(lines) == {"client": 6, SCHEDULER: 2}
    assert samples([]) == {}
