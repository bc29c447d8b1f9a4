"""Codecs: what a user puts, as bytes, and back. Knows nothing of keys or nodes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import cbor2

from dynamo_py.errors import InvalidRequest

CBOR_DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Codec:
    """A pair of functions between a user's values and bytes."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _only_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidRequest(
            f"a value is bytes, not {type(value).__name__}; for others name a codec:"
            ' store.bucket("name", codec="json")'
        )
    return bytes(value)


def _to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"this value is no JSON: {error}") from None


def _from_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the stored value is no JSON: {error}") from None


def _to_cbor(value: Any) -> bytes:
    _check_depth(value, CBOR_DEPTH_MAX)
    try:
        return cbor2.dumps(value)
    except (cbor2.CBOREncodeError, ValueError) as error:
        raise InvalidRequest(f"this value is no CBOR: {error}") from None


def _check_depth(value: Any, depth_left: int) -> None:
    """Refuse what could be written and not be read; far deeper, the library crashes."""
    if isinstance(value, dict):
        inner: Iterable[Any] = chain(value.keys(), value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        inner = value
    elif isinstance(value, cbor2.CBORTag):
        inner = (value.value,)
    else:
        return
    if not depth_left:
        raise InvalidRequest(f"this value is nested more than {CBOR_DEPTH_MAX} deep")
    for each in inner:
        _check_depth(each, depth_left - 1)


def _from_cbor(data: bytes) -> Any:
    """Decode exactly one item: the library by itself would accept trailing bytes."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.load(stream, max_depth=CBOR_DEPTH_MAX)
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise InvalidRequest(f"the stored value is no CBOR: {error}") from None
    if stream.tell() != len(data):
        raise InvalidRequest("the stored value is no CBOR: bytes follow its end")
    return value


RAW = Codec("raw", _only_bytes, lambda data: data)
_CODECS = {
    "raw": RAW,
    "json": Codec("json", _to_json, _from_json),
    "cbor": Codec("cbor", _to_cbor, _from_cbor),
}


def codec_named(name: str) -> Codec:
    """The codec of that name; raises `InvalidRequest`."""
    found = _CODECS.get(name)
    if found is None:
        raise InvalidRequest(f'there is no codec {name!r}: use "json", "cbor" or "raw"')
    return found
