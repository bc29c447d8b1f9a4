"""The peers' addresses, kept over a restart.

A node that comes back must find the others although it was given no seed: it may have
founded the cluster. And it must know where one was that is down, should that one have lost
its disk and ask to be let in again. Knows nothing of gossip.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from dynamo_py.errors import Damaged, DynamoError
from dynamo_py.replica.store import Store
from dynamo_py.storage.engine import Change, Space

_KEY = b"addresses"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(dict[bytes, str])


class AddressBook:
    """Peer addresses on this node's disk, by node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.addresses = _stored(store)

    def keep(self, addresses: Mapping[bytes, str]) -> None:
        """Remember these in place of the others, unless there are none."""
        if addresses and addresses != self.addresses:
            change = Change(Space.META, 0, _KEY, _encode(addresses))
            with suppress(DynamoError):  # A store that refuses now is tried again next time.
                self._store.submit((change,), _ignore)
                self.addresses = dict(addresses)


def _stored(store: Store) -> dict[bytes, str]:
    """The addresses on disk; none where there are none, or none that can be trusted."""
    try:
        row = store.get(Space.META, 0, _KEY)
        return {} if row is None else _decoder.decode(row)
    except (Damaged, msgspec.MsgspecError):
        return {}


def _ignore(error: object) -> None:
    """A commit that fails is told to the node by the committer."""
