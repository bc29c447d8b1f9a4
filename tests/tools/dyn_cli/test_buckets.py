"""`bucket list`, `get` and `set` against a cluster that is played."""

from __future__ import annotations

import dataclasses
import json

import pytest
import trio

from dyn_cli import buckets
from dyn_cli.main import run
from dynamo_py.client import properties as known
from dynamo_py.client.properties import BucketProperties
from dynamo_py.config import BUCKET_CODECS, BUCKET_RESOLVERS

NOTHING = dict.fromkeys(("r", "w", "dw", "pr", "pw", "resolver", "codec", "ttl"))


class Admin:
    """Properties of buckets, in a dictionary."""

    def __init__(self) -> None:
        self.known: dict[str, BucketProperties] = {}

    async def buckets(self, **named):
        await trio.lowlevel.checkpoint()
        return dict(self.known)

    async def bucket(self, bucket, **named):
        await trio.lowlevel.checkpoint()
        return self.known.get(bucket, BucketProperties())

    async def set_bucket(self, bucket, **change):
        await trio.lowlevel.checkpoint()
        assert change.pop("timeout") == 5
        before = self.known.get(bucket, BucketProperties())
        self.known[bucket] = dataclasses.replace(before, **change)
        return self.known[bucket]


@pytest.fixture
def played(monkeypatch) -> Admin:
    class Store:
        admin = Admin()

    monkeypatch.setattr(
        "dyn_cli.buckets.with_store",
        lambda settings, work, *, timeout_s: trio.run(work, Store()),
    )
    return Store.admin


def test_what_can_be_said_is_what_the_store_knows():
    fields = tuple(field.name for field in dataclasses.fields(BucketProperties))
    assert fields == buckets.PROPERTIES
    assert known.QUORUMS == buckets.QUORUMS
    assert {"resolver": BUCKET_RESOLVERS, "codec": BUCKET_CODECS} == buckets.CHOICES


def test_properties_are_set_and_shown(played, capsys):
    assert run(["bucket", "set", "carts", "r=all", "w=2", "ttl=1.5", "codec=json"]) == 0
    shown = capsys.readouterr().out
    assert shown.split() == [
        "r=all", "w=2", "dw=none", "pr=none", "pw=none", "resolver=none", "codec=json", "ttl=1.5",
    ]  # fmt: skip
    assert run(["bucket", "get", "carts"]) == 0
    assert capsys.readouterr().out == shown


def test_one_that_is_not_named_stays_and_none_unsets_one(played, capsys):
    run(["bucket", "set", "carts", "r=all", "ttl=60"])
    capsys.readouterr()
    assert run(["bucket", "set", "carts", "r=none", "resolver=cart", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"bucket": "carts", **NOTHING, "resolver": "cart", "ttl": 60}


def test_a_bucket_without_properties_is_no_error(played, capsys):
    assert run(["bucket", "get", "carts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bucket": "carts", **NOTHING}


def test_the_list_has_those_that_say_something(played, capsys):
    assert run(["bucket", "list"]) == 0
    assert capsys.readouterr().out == "no bucket has properties\n"
    run(["bucket", "set", "carts", "pw=quorum"])
    run(["bucket", "set", "plain", "r=none"])
    capsys.readouterr()
    assert run(["bucket", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"buckets": [{"bucket": "carts", **NOTHING, "pw": "quorum"}]}
    assert run(["bucket", "list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["bucket", *buckets.PROPERTIES]
    assert row.split() == ["carts", "quorum"]


@pytest.mark.parametrize(
    ("said", "choices"),
    [
        ("x=1", "r, w, dw, pr, pw, resolver, codec, ttl"),
        ("r", "r, w, dw, pr, pw, resolver, codec, ttl"),
        ("r=0", "a number from 1, quorum, all or none"),
        ("w=most", "a number from 1, quorum, all or none"),
        ("resolver=mine", "last_write_wins, union, cart or none"),
        ("codec=", "json, cbor or none"),
        ("ttl=-1", "a number of seconds above 0 or none"),
        ("ttl=soon", "a number of seconds above 0 or none"),
    ],
)
def test_what_cannot_be_is_a_usage_error_that_names_the_choices(played, capsys, said, choices):
    assert run(["bucket", "set", "carts", "r=1", said]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert repr(said) in line
    assert choices in line
    assert played.known == {}


@pytest.mark.parametrize("arguments", [["set", "carts"], ["set"], ["get"], ["get", ""]])
def test_what_is_missing_is_a_usage_error(played, capsys, arguments):
    assert run(["bucket", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
