"""What an exchange costs on the wire, by how many keys differ.

``python -m studies.exchange_bytes`` (in ``tools``) prints a table for two replicas in memory,
the bytes counted over encoded frames, both ways, heads included.

The replicas hold one partition of many. An exchange is about one partition and reads nothing of
the others, so its cost is that of a partition with as many keys as each of them has.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import click
import trio
import trio.testing

from dynamo_py.testing.replica_pair import NODES, PARTITION, ReplicaPair
from studies.bars import Bar, show

KEYS = 1_000_000
PARTITIONS = 64
"""Few for so many keys: with more of them each has fewer keys, and an exchange costs less."""
VALUE_BYTES = 100
DIFFERENCES = (0, 1, 10, 100, 1_000, 10_000)

NONE_BYTES_BAR = 200
ONE_BYTES_BAR = 16 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """One exchange. ``record_bytes`` are those of the records that had to travel."""

    differences: int
    behind: str
    bytes: int
    record_bytes: int
    requests: int


def measure(
    *,
    keys: int = KEYS // PARTITIONS,
    value_bytes: int = VALUE_BYTES,
    differences: Sequence[int] = DIFFERENCES,
    seed: int = 1,
) -> list[Cost]:
    """The cost of an exchange for each number of ``differences``, with either side behind.

    ``keys`` are those of the partition.
    """
    costs: list[Cost] = []

    async def main() -> None:
        pair = ReplicaPair()
        async with trio.open_nursery() as nursery:
            await nursery.start(pair.run)
            names = [b"bucket\0user:%08d" % number for number in range(keys)]
            for number, name in enumerate(names):
                written = pair.sides[0].write(name, bytes(value_bytes), b"%016d" % number)
                pair.sides[1].merge(name, written.encoded)
            await pair.sides[0].exchanges.exchange(PARTITION, NODES[1])
            generator = random.Random(seed)
            for newer, behind in ((1, "asking"), (0, "asked")):
                for count in differences:
                    costs.append(await _cost(pair, names, newer, behind, count, generator))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return costs


async def _cost(
    pair: ReplicaPair,
    names: list[bytes],
    newer: int,
    behind: str,
    count: int,
    generator: random.Random,
) -> Cost:
    """Overwrite ``count`` keys on one side, and exchange."""
    side = pair.sides[newer]
    record_bytes = 0
    for name in generator.sample(names, count):
        copy = side.copy(name)
        assert copy is not None
        value = generator.randbytes(len(copy.siblings[0].value or b""))
        write_id = generator.randbytes(16)
        written = side.write(name, value, write_id, context=copy.context())
        record_bytes += len(written.encoded)
    pair.asked.clear()
    found = await pair.sides[0].exchanges.exchange(PARTITION, NODES[1])
    assert found.differences == count, found
    assert pair.sides[0].rows() == pair.sides[1].rows()
    return Cost(count, behind, found.bytes, record_bytes, len(pair.asked))


def bars(costs: Sequence[Cost]) -> tuple[Bar, ...]:
    """What was promised, of the side for which it costs more."""

    def bytes_of(differences: int) -> int:
        return max(cost.bytes for cost in costs if cost.differences == differences)

    return (
        Bar("no difference", bytes_of(0), NONE_BYTES_BAR, "bytes", excludes_bound=True),
        Bar("one key differs", bytes_of(1), ONE_BYTES_BAR, "bytes", excludes_bound=True),
    )


@click.command()
@click.option(
    "--keys",
    type=click.IntRange(min=1),
    default=KEYS,
    show_default=True,
    help="Of all partitions together.",
)
@click.option("--partitions", type=click.IntRange(min=1), default=PARTITIONS, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=VALUE_BYTES, show_default=True)
def main(*, keys: int, partitions: int, value_bytes: int) -> None:
    """Exchange one partition of two replicas; print the bytes as Markdown, and the bars."""
    of_one = math.ceil(keys / partitions)
    differences = [count for count in DIFFERENCES if count <= of_one]
    costs = measure(keys=of_one, value_bytes=value_bytes, differences=differences)
    click.echo(
        "| behind | keys that differ | bytes in all | a key | beside its record | requests |"
    )
    click.echo("|---|---|---|---|---|---|")
    for cost in costs:
        count = max(1, cost.differences)
        beside = (cost.bytes - cost.record_bytes) / count
        click.echo(
            f"| {cost.behind} | {cost.differences:,} | {cost.bytes:,} |"
            f" {cost.bytes / count:,.0f} | {beside:,.0f} | {cost.requests:,} |"
        )
    raise SystemExit(show(bars(costs)))


if __name__ == "__main__":
    main()
