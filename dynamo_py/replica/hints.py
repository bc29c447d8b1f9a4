"""Hints: records that this node keeps for primaries that did not answer.

Pure data and its bytes. A key has one hint here, however many nodes it is kept for: the
record, and the set of its targets. (DeCandia et al. 2007, section 4.6)
"""

from __future__ import annotations

import msgspec

from dynamo_py.causality import Record, decode_record, encode_record
from dynamo_py.errors import ProtocolError

_FORMAT = b"\x01"


class Hint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One key's record, and the ids of those it is kept for, sorted."""

    targets: tuple[bytes, ...]
    record: bytes
    since_ms: int

    def merged(self, record: Record, target: bytes) -> Hint:
        """The hint with ``record`` merged in, and ``target`` among its targets."""
        held = decode_record(self.record).merge(record)
        targets = tuple(sorted({*self.targets, target}))
        return Hint(targets, encode_record(held), self.since_ms)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Hint)


def encode_hint(hint: Hint) -> bytes:
    """``hint`` as it is stored."""
    return _FORMAT + _encode(hint)


def decode_hint(data: bytes) -> Hint:
    """The hint in ``data``; raises `ProtocolError`."""
    if data[:1] != _FORMAT:
        raise ProtocolError(f"a hint of format {data[:1].hex()}; this version reads 01")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"not a hint: {error}") from None
