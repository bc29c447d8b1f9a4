"""Amounts for people."""

from __future__ import annotations

import pytest

from dyn_cli.amounts import counted, size


@pytest.mark.parametrize(
    ("data_bytes", "shown"),
    [
        (-1, "?"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_a_size_is_in_the_largest_unit_that_fits(data_bytes, shown):
    assert size(data_bytes) == shown


def test_one_is_singular():
    assert [counted(n, "token") for n in (0, 1, 2)] == ["0 tokens", "1 token", "2 tokens"]
    assert counted(2, "copy", "copies") == "2 copies"
