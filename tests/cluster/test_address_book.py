"""Addresses that outlive the process, and never keep a node from running."""

from __future__ import annotations

from dynamo_py.cluster.address_book import AddressBook
from dynamo_py.errors import DiskFull
from dynamo_py.storage.engine import Space

A, B = b"a" * 16, b"b" * 16
ROW = (Space.META, 0, b"addresses")


async def test_addresses_are_there_after_a_restart(store):
    book = AddressBook(store)
    assert book.addresses == {}
    book.keep({A: "a:1", B: "b:2"})
    book.keep({A: "a:1", B: "c:3"})
    assert AddressBook(store.restarted()).addresses == {A: "a:1", B: "c:3"}


async def test_no_addresses_at_all_do_not_take_the_place_of_some(store):
    AddressBook(store).keep({A: "a:1"})
    book = AddressBook(store)
    book.keep({})
    assert book.addresses == {A: "a:1"}


async def test_a_store_that_refuses_is_tried_again(store):
    book = AddressBook(store)
    store.refusal = DiskFull("no room")
    book.keep({A: "a:1"})
    store.refusal = None
    book.keep({A: "a:1"})
    assert AddressBook(store.restarted()).addresses == {A: "a:1"}


async def test_a_row_that_cannot_be_read_is_as_good_as_none(store):
    store.visible[ROW] = b"garbage"
    assert AddressBook(store).addresses == {}
    store.damaged.add(ROW)
    assert AddressBook(store).addresses == {}
