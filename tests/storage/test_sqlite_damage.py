"""Rows whose very type was changed from outside are damaged, and nothing worse."""

from __future__ import annotations

import sqlite3

import pytest

from dynamo_py.errors import Damaged
from dynamo_py.storage.engine import Change, Space
from dynamo_py.storage.sqlite import SqliteEngine


@pytest.mark.parametrize("damage", ["value || x'00'", "'text'", "17", "NULL", "x''"])
def test_a_row_of_another_type_is_damaged_and_its_neighbour_is_read(tmp_path, damage):
    path = tmp_path / "store.sqlite3"
    engine = SqliteEngine(path)
    rows = {b"bad": b"\xff\xfe not text", b"good": b"\xff\xfd"}
    engine.apply([Change(Space.RECORDS, 0, key, value) for key, value in rows.items()])
    engine.close()
    outside = sqlite3.connect(path)
    try:
        outside.execute(f"UPDATE records SET value = {damage} WHERE key = x'626164'")
        outside.commit()
    except sqlite3.IntegrityError:
        assert damage == "NULL"  # The table itself refuses that.
        return
    finally:
        outside.close()
    engine = SqliteEngine(path)
    try:
        with pytest.raises(Damaged):
            engine.get(Space.RECORDS, 0, b"bad")
        assert engine.get(Space.RECORDS, 0, b"good") == rows[b"good"]
        page = engine.scan(Space.RECORDS, 0, b"", 10)
        assert page.damaged_keys == (b"bad",)
    finally:
        engine.close()
