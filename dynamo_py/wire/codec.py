"""The codec table: message numbers, and bodies as bytes.

A body is the message's fields as one positional MessagePack array. Each number has a typed
decoder, which accepts exactly that message: every field is checked, tags and extensions have
no place in any type, depth is bounded by the types, and trailing bytes are refused. (Why not
CBOR: docs/design/wire-format.md.)

A number is never given to another message. PROTOCOL.md lists them; a test compares.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dynamo_py.errors import ProtocolError
from dynamo_py.wire import bucket_messages as b
from dynamo_py.wire import change_messages as c
from dynamo_py.wire import forgetting_messages as f
from dynamo_py.wire import handover_messages as h
from dynamo_py.wire import messages as m
from dynamo_py.wire import starting_messages as t
from dynamo_py.wire import sync_messages as s
from dynamo_py.wire.messages import Message

PROTOCOL_VERSION = 1

TABLE: dict[int, type[Message]] = {
    1: m.Hello,
    2: m.Welcome,
    3: m.Failure,
    4: m.Done,
    10: m.Put,
    11: m.Stored,
    12: m.Get,
    13: m.Fetched,
    14: m.Scan,
    15: m.ScanPage,
    16: m.GetRing,
    17: m.Ring,
    18: m.GetStatus,
    19: m.Status,
    20: m.Explain,
    21: m.Explanation,
    22: m.GetNodeFacts,
    23: m.NodeFacts,
    24: m.GetHints,
    25: m.HintFigures,
    26: s.GetSync,
    27: s.Sync,
    28: b.GetBuckets,
    29: b.SetBucket,
    30: b.Buckets,
    40: m.ReplicaPut,
    41: m.ReplicaAck,
    42: m.ReplicaGet,
    43: m.ReplicaRecord,
    44: m.OtherWalk,
    45: m.GetPage,
    46: m.Page,
    47: m.GetTable,
    48: m.Table,
    49: m.Join,
    52: m.Gossip,
    53: s.GetRoots,
    54: s.Roots,
    55: s.GetTree,
    56: s.TreeHashes,
    57: s.GetLeaves,
    58: s.Leaves,
    59: s.GetRecords,
    60: s.Records,
    61: m.HandOff,
    62: f.Flush,
    63: f.AskProof,
    64: f.Proof,
    65: f.Barrier,
    66: f.Confirm,
    67: f.Confirmed,
    68: f.Forget,
    69: f.Forgotten,
    70: f.AskPromised,
    71: f.Promised,
    75: t.Readmission,
    76: t.AskProgress,
    77: t.Progress,
    78: h.Offer,
    79: h.Offered,
    80: h.AskTaken,
    81: h.Taken,
    82: h.GetTransfers,
    83: h.Transfers,
    84: h.GetSizes,
    85: h.Sizes,
    90: c.ChangeMember,
    91: c.Changed,
    92: c.CommitChanges,
    93: c.ClearChanges,
    94: c.GetPlan,
    95: c.Plan,
}

RETIRED = (50, 51)
"""Numbers of messages that are no more, never to be given to others."""

NUMBERS: dict[type[Message], int] = {kind: number for number, kind in TABLE.items()}

_encode = msgspec.msgpack.Encoder().encode
_decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {
    number: msgspec.msgpack.Decoder(kind) for number, kind in TABLE.items()
}


def encode_body(message: Message) -> tuple[int, bytes]:
    """The number and the body of ``message``."""
    return NUMBERS[type(message)], _encode(message)


def decode_body(number: int, body: bytes) -> Message:
    """The message in ``body``; raises `ProtocolError` if it is not exactly one."""
    decoder = _decoders.get(number)
    if decoder is None:
        raise ProtocolError(f"unknown message {number}: the other side may be newer")
    try:
        message = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a broken {TABLE[number].__name__} message: {error}") from None
    assert isinstance(message, Message)
    return message
