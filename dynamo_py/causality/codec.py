"""Records and contexts as bytes, on disk, on the wire and in a client's hands.

One byte with the format's version, then positional MessagePack by a typed decoder: it accepts
exactly the shapes of `dynamo_py.causality.siblings`, nothing else, and no trailing bytes.
Equal objects give equal bytes, so that replicas can be compared by bytes alone. What is written
is of the newest format; format 1, which remembers no attempts, is still read.
"""

from __future__ import annotations

import msgspec

from dynamo_py.causality.siblings import NOTHING_SEEN, Context, Record
from dynamo_py.errors import InvalidRequest, ProtocolError

FORMAT = b"\x02"
WITHOUT_ATTEMPTS = b"\x01"
"""The format before: records and contexts end before their attempts."""

_encoder = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_contexts = msgspec.msgpack.Decoder(Context)


def encode_record(record: Record) -> bytes:
    """The canonical bytes of ``record``."""
    return FORMAT + _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """The record in ``data``; raises `ProtocolError` if it is not exactly one."""
    if data[:1] not in (FORMAT, WITHOUT_ATTEMPTS):
        raise ProtocolError(f"a record of format {data[:1].hex()}; this version reads 01 and 02")
    try:
        record = _records.decode(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"not a record: {error}") from None
    if record.superseded and data[:1] == WITHOUT_ATTEMPTS:
        raise ProtocolError("not a record: one of format 01 remembers no attempts")
    return record


def encode_context(context: Context) -> bytes:
    """The canonical bytes of ``context``."""
    return FORMAT + _encoder.encode(context)


def decode_context(data: bytes) -> Context:
    """The context in ``data`` (empty bytes: nothing seen); raises `InvalidRequest`.

    It comes from a client, so only the very bytes that `encode_context` gives are taken, or
    gave in format 1: a vector in another form would spread, and replicas that agree would
    differ by bytes.
    """
    if not data:
        return NOTHING_SEEN
    try:
        context = _contexts.decode(memoryview(data)[1:])
        if context.is_canonical() and (
            data == encode_context(context) or data == _as_before(context)
        ):
            return context
    except msgspec.MsgspecError:
        pass
    raise InvalidRequest("this is not a context: pass on, unchanged, what a get or a put returned")


def _as_before(context: Context) -> bytes:
    """The bytes that format 1 had for ``context``, were it not for the attempts."""
    return WITHOUT_ATTEMPTS + _encoder.encode((context.vector, context.timestamp))
