"""`cluster ring`: who owns which token."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Command, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from dynamo_py.wire.messages import Ring, RingNode

SYMBOLS = string.ascii_uppercase + string.ascii_lowercase
TOKENS_PER_LINE = 32
NOBODY = "?"
"""For an owner that is no member: its tokens are about to be taken over."""


@click.command("ring", cls=Command)
@pass_settings
def ring(settings: Settings) -> Status:
    """Show the tokens of each node, and the owner of each token."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.ring(timeout=timeout_s), timeout_s=timeout_s
    )
    if settings.is_json:
        print_json(ring_document(found))
    else:
        _print_ring(found)
    return Status.DONE


def ring_document(found: Ring) -> dict[str, object]:
    """What `cluster ring --json` prints. An owner that is no member any more is null."""
    return {
        "cluster": found.cluster,
        "partitions": len(found.owners),
        "replicas": found.replicas,
        "nodes": [
            {
                "name": node.name,
                "id": node.node.hex(),
                "zone": node.zone,
                "state": node.state,
                "tokens": _tokens(found, index),
            }
            for index, node in _by_name(found)
        ],
        "owners": [None if i < 0 else found.nodes[i].name for i in found.owners],
    }


def _by_name(found: Ring) -> list[tuple[int, RingNode]]:
    return sorted(enumerate(found.nodes), key=lambda pair: pair[1].name)


def _tokens(found: Ring, index: int) -> list[int]:
    return [token for token, owner in enumerate(found.owners) if owner == index]


def _print_ring(found: Ring) -> None:
    total = len(found.owners)
    print_text(f"cluster {found.cluster}: {total} tokens, each key on {found.replicas} nodes")
    symbols = {index: symbol for (index, _), symbol in zip(_by_name(found), SYMBOLS, strict=False)}
    rows = []
    for index, node in _by_name(found):
        count = len(_tokens(found, index))
        share = f"{count / total:.1%}"
        rows.append((symbols.get(index, ""), node.name, node.zone, node.state, count, share))
    print_table(("", "name", "zone", "state", "tokens", "share"), rows)
    if len(found.nodes) > len(SYMBOLS):
        return  # A picture of so many tells nothing: --json has the owners.
    print_text("")
    width = len(str(total - 1))
    for first in range(0, total, TOKENS_PER_LINE):
        owners = found.owners[first : first + TOKENS_PER_LINE]
        print_text(f"{first:>{width}}  {' '.join(symbols.get(i, NOBODY) for i in owners)}")
