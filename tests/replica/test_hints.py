"""Hints as bytes."""

from __future__ import annotations

import pytest

from dynamo_py.causality import EMPTY, encode_record
from dynamo_py.errors import ProtocolError
from dynamo_py.replica.hints import Hint, decode_hint, encode_hint

HINT = Hint((b"a" * 16, b"b" * 16), encode_record(EMPTY), 12)


def test_a_hint_comes_back_from_its_bytes():
    assert decode_hint(encode_hint(HINT)) == HINT


@pytest.mark.parametrize("data", [b"", b"\x02" + encode_hint(HINT)[1:], b"\x01", b"\x01\xc0"])
def test_what_is_no_hint_is_refused(data):
    with pytest.raises(ProtocolError):
        decode_hint(data)


def test_a_hint_of_a_later_format_says_which_this_version_reads():
    with pytest.raises(ProtocolError, match="format 02; this version reads 01"):
        decode_hint(b"\x02whatever")


def test_a_target_is_kept_once_and_targets_are_sorted():
    hint = HINT.merged(EMPTY, b"a" * 16).merged(EMPTY, b"0" * 16)
    assert hint.targets == (b"0" * 16, b"a" * 16, b"b" * 16)
    assert hint.since_ms == HINT.since_ms
