"""Where samples of running stacks belong: the stages of a request, for the table of what it costs.

Pure. Knows the packages of the store, and the lines that a sampling profiler writes: the frames
of a stack from the outermost, `function (file:line)` each, semicolons between them, and how often
it was met.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

SCHEDULER = "event loop"
STAGES = {
    "dyn_cli/bench/": "client: load",
    "dynamo_py/client/": "client",
    "dynamo_py/net/": "links and sockets",
    "dynamo_py/wire/": "frames and messages",
    "dynamo_py/server/": "requests and tasks",
    "dynamo_py/coordinator/": "coordinator",
    "dynamo_py/causality/": "causality",
    "dynamo_py/replica/": "copies, hints, hash trees",
    "dynamo_py/storage/": "storage and commits",
    "dynamo_py/": "membership and upkeep",
    "gossip/": "membership and upkeep",
    "ring/": "membership and upkeep",
}
"""By the beginning of a file's path; the first that fits."""
_LOOP = ("trio/", "outcome/")
_ENTRY = ("dynamo_py/process.py", "dynamo_py/lifetimes.py")
"""On every stack, below whatever is done."""

_FRAME = re.compile(r" \((?P<file>[^()]*?)(?::\d+)?\)$")


def stage_of(stack: str) -> str:
    """The stage of one stack: that of the innermost frame of the store's.

    What the event loop does by itself, and for whoever waits or wakes another, is its own stage.
    """
    files = [found["file"] for frame in stack.split(";") if (found := _FRAME.search(frame))]
    if not files or files[-1].startswith(_LOOP):
        return SCHEDULER
    for file in reversed(files):
        if file in _ENTRY:
            continue
        for beginning, stage in STAGES.items():
            if file.startswith(beginning):
                return stage
    return SCHEDULER


def samples(lines: Iterable[str]) -> dict[str, int]:
    """How many samples each stage has, the most first."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rstrip("\n").rpartition(" ")
        if stack and count.isdigit():
            counts[stage_of(stack)] += int(count)
    return dict(counts.most_common())
