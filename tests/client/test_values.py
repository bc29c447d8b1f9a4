"""Codecs: what is put comes back, or is refused before it is put."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.values import CBOR_DEPTH_MAX, codec_named
from dynamo_py.errors import InvalidRequest

RAW, JSON, CBOR = codec_named("raw"), codec_named("json"), codec_named("cbor")

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
cbor_values = st.recursive(
    scalars | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.binary(), inner, max_size=4)
        | st.frozensets(st.integers(), max_size=4).map(set)
    ),
    max_leaves=12,
)


def nested(depth: int) -> list[object]:
    """Lists in lists, ``depth`` of them."""
    outer: list[object] = []
    inner = outer
    for _ in range(depth - 1):
        inner.append([])
        inner = inner[0]  # type: ignore[assignment]
    return outer


@given(st.binary())
def test_bytes_are_stored_as_they_are(value):
    assert RAW.decode(RAW.encode(value)) == value
    assert type(RAW.encode(bytearray(value))) is bytes
    assert RAW.encode(memoryview(value)) == value


@given(json_values)
def test_what_json_can_hold_comes_back(value):
    assert JSON.decode(JSON.encode(value)) == value


@given(cbor_values)
def test_what_cbor_can_hold_comes_back(value):
    assert CBOR.decode(CBOR.encode(value)) == value


def test_json_is_compact_utf8():
    assert JSON.encode({"é": [1, 2]}) == '{"é":[1,2]}'.encode()


@pytest.mark.parametrize("value", ["text", 1, None, [b"x"], {}])
def test_without_a_codec_only_bytes_are_taken(value):
    with pytest.raises(InvalidRequest, match='codec="json"'):
        RAW.encode(value)


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, object(), {"a": object()}, "\ud800", {(1,): 2}]
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(InvalidRequest, match="no JSON"):
        JSON.encode(value)


@pytest.mark.parametrize("value", [object(), [object()], "\ud800"])
def test_what_cbor_cannot_hold_is_refused(value):
    with pytest.raises(InvalidRequest, match="no CBOR"):
        CBOR.encode(value)


def test_a_value_that_holds_itself_is_refused():
    value: list[object] = []
    value.append(value)
    for codec in (JSON, CBOR):
        with pytest.raises(InvalidRequest):
            codec.encode(value)


def test_what_is_too_deep_to_be_read_is_refused_when_it_is_put():
    assert CBOR.decode(CBOR.encode(nested(CBOR_DEPTH_MAX))) == nested(CBOR_DEPTH_MAX)
    for depth in (CBOR_DEPTH_MAX + 1, 50_000):
        with pytest.raises(InvalidRequest, match="deep"):
            CBOR.encode(nested(depth))
    with pytest.raises(InvalidRequest):
        JSON.encode(nested(50_000))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[1] 2", b"[" * 100_000])
def test_a_stored_value_that_is_no_json_is_said_so(data):
    with pytest.raises(InvalidRequest, match="no JSON"):
        JSON.decode(data)


@pytest.mark.parametrize("data", [b"", b"\x82\x01", b"\x01\x01", b"\xff", b"\x81" * 100_000])
def test_a_stored_value_that_is_no_cbor_is_said_so(data):
    with pytest.raises(InvalidRequest, match="no CBOR"):
        CBOR.decode(data)


@given(st.binary(max_size=30))
def test_whatever_is_stored_a_codec_gives_a_value_or_says_that_it_cannot(data):
    for codec in (JSON, CBOR):
        try:
            codec.decode(data)
        except InvalidRequest:
            continue


def test_an_unknown_codec_is_refused():
    with pytest.raises(InvalidRequest, match="'pickle'"):
        codec_named("pickle")
