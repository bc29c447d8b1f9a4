"""docs/PROTOCOL.md says what the code does: messages, fields, types, failures and bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import NODEFAULT, inspect

from dynamo_py import config, errors
from dynamo_py.causality import NOTHING_SEEN, encode_context
from dynamo_py.errors import DynamoError
from dynamo_py.net import link, listener
from dynamo_py.wire import buckets as b
from dynamo_py.wire import change_messages as c
from dynamo_py.wire import codec, frames, handshake
from dynamo_py.wire import forgetting_messages as f
from dynamo_py.wire import handover_messages as h
from dynamo_py.wire import messages as m
from dynamo_py.wire import sync_messages as s
from ring import position_of

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
PARTS = [
    m.Quorum,
    m.Hinted,
    m.RingNode,
    m.NodeStatus,
    m.Holding,
    m.TableEntry,
    m.MemberEntry,
    s.PartitionWalk,
    s.LeafRow,
    m.HintsKept,
    s.PairSync,
    h.TransferFigures,
    h.PartitionSize,
    c.PlanNode,
    c.PlanMove,
    f.Shown,
    f.ForgetRow,
    b.BucketEntry,
    b.BucketProperties,
]
NAMES_OF_TYPES: list[tuple[inspect.Type, str]] = [
    (inspect.BoolType(), "bool"),
    (inspect.IntType(), "int"),
    (inspect.IntType(ge=0), "uint"),
    (inspect.IntType(ge=0, le=2**53), "span"),
    (inspect.BytesType(), "bytes"),
    (inspect.BytesType(min_length=16, max_length=16), "id"),
    (inspect.BytesType(max_length=16), "id or empty"),
    (inspect.StrType(), "text"),
    (inspect.StrType(min_length=1, max_length=64), "name"),
    (inspect.StrType(max_length=256), "address"),
]


class Section(NamedTuple):
    """A message, or a part of one, in the document."""

    heading: str
    fields: list[tuple[str, str]]
    """Name and type of each, as they stand there."""


def chapter(title: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S)
    assert found is not None, f"no chapter {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without heads and rules."""
    lines = text.splitlines()
    found = []
    for above, line in zip(["", *lines], lines, strict=False):
        is_head = line.startswith("|") and not above.startswith("|")
        if line.startswith("|") and not is_head and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def sections(title: str) -> list[Section]:
    """The sections of a chapter, each with its one table of fields."""
    parts = re.split(r"^### ", chapter(title), flags=re.M)[1:]
    found = []
    for part in parts:
        heading, _, text = part.partition("\n")
        fields = [(name.strip("`"), kind) for name, kind, _ in rows(text)]
        assert fields or "No fields: the body is an empty array." in text, heading
        found.append(Section(heading, fields))
    return found


def type_of(kind: inspect.Type) -> str:
    """A type as the document writes it."""
    match kind:
        case inspect.UnionType():
            (other,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
            return f"{type_of(other)} or nil"
        case inspect.ListType():
            return f"list of {type_of(kind.item_type)}"
        case inspect.TupleType():
            return f"[{', '.join(map(type_of, kind.item_types))}]"
        case inspect.DictType():
            return "facts"
        case inspect.StructType() | inspect.NamedTupleType():
            return str(kind.cls.__name__)
    return next(name for each, name in NAMES_OF_TYPES if each == kind)


def written(field: inspect.Field) -> str:
    """The type column of a field: its type, and its default where it has one."""
    kind = f"`{type_of(field.type)}`"
    if field.default_factory is list:
        return f"{kind}, default empty"
    if field.default is NODEFAULT:
        return kind
    default = field.default
    shown = "nil" if default is None else "empty" if default in ("", b"") else json.dumps(default)
    return f"{kind}, default {shown}"


def fields_of(kind: type) -> list[tuple[str, str]]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType | inspect.NamedTupleType)
    return [(field.name, written(field)) for field in described.fields]


def test_each_message_stands_there_with_its_number_and_fields():
    described = [
        Section(f"{number} {kind.__name__}", fields_of(kind))
        for number, kind in codec.TABLE.items()
    ]
    assert sections("Messages") == described


def test_each_part_of_a_message_stands_there_with_its_fields():
    assert sections("Parts of messages") == [Section(k.__name__, fields_of(k)) for k in PARTS]


def test_the_numbers_said_to_be_free_are():
    text = " ".join(chapter("Messages").split())
    said = re.search(
        r"The numbers from ([\d to,]+) and from (\d+) on are free; ([\d and]+) were", text
    )
    assert said is not None
    spans = [range(int(a), int(b) + 1) for a, b in re.findall(r"(\d+) to (\d+)", said[1])]
    retired = tuple(map(int, re.findall(r"\d+", said[3])))
    assert retired == codec.RETIRED
    free = {number for span in spans for number in span}
    assert free == set(range(1, int(said[2]))) - set(codec.TABLE) - set(retired)
    assert not set(retired) & set(codec.TABLE)


def kinds() -> Iterator[type[DynamoError]]:
    """Every error of the tree."""
    waiting = [DynamoError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            waiting += kind.__subclasses__()
            yield kind


FACTS = {
    errors.QuorumNotMet: errors.QuorumNotMet("", required=1),
    errors.NodeUnavailable: errors.NodeUnavailable(""),
    errors.Overloaded: errors.Overloaded(""),
    errors.SiblingsFound: errors.SiblingsFound("", count=2),
    errors.TooManySiblings: errors.TooManySiblings("", count=2, limit=1),
}


def test_each_kind_of_failure_stands_there_with_its_facts():
    said = {
        kind.strip("`"): (repeated, re.findall(r"`(\w+)`", facts))
        for kind, repeated, facts, _ in rows(chapter("Failures"))
    }
    assert said == {
        kind.__name__: (
            "yes" if kind.retryable else "no",
            list(FACTS[kind].facts() if kind in FACTS else ()),
        )
        for kind in kinds()
    }


def test_the_head_of_a_frame_stands_there_with_its_offsets():
    sizes = {"uint8": 1, "uint32": 4, "uint64": 8}
    head = [row for row in rows(chapter("Frames")) if row[0].isdigit()]
    offset = 0
    for said, kind, _ in head[:-1]:
        assert int(said) == offset
        offset += sizes[kind]
    assert int(head[-1][0]) == offset == frames.HEAD.size


@pytest.mark.parametrize(
    ("what", "bound"),
    [
        ("a frame, after its length field", frames.FRAME_BYTES_MAX),
        ("a frame before the greeting is answered", frames.GREETING_BYTES_MAX),
        ("the greeting", int(handshake.GREETING_S)),
        ("a bucket's name", config.BUCKET_BYTES_MAX),
        ("a key", config.KEY_BYTES_MAX),
        ("a value", config.VALUE_BYTES_MAX),
        ("siblings that a put may leave", config.SIBLINGS_MAX),
        ("requests open on one connection", link.REQUESTS_PER_LINK_MAX),
        ("connections to one port", listener.CONNECTIONS_MAX),
        (
            "bytes of replies that a side leaves unread before it is cut off",
            link.OUTBOUND_BYTES_MAX,
        ),
    ],
)
def test_each_bound_is_the_one_in_force(what, bound):
    said = dict(rows(chapter("Bounds")))
    assert int(re.sub(r"\D", "", said[what])) == bound


def test_the_examples_are_right():
    assert f"the version of the protocol: {codec.PROTOCOL_VERSION} |" in DOCUMENT
    assert f"`foo` is {position_of(b'foo')}" in " ".join(DOCUMENT.split())
    assert f"`{encode_context(NOTHING_SEEN).hex(' ')}`" in DOCUMENT


def test_the_table_of_contents_names_the_chapters():
    contents = re.findall(r"^\d+\. \[(.+?)\]\(#(.+?)\)$", DOCUMENT, re.M)
    chapters = re.findall(r"^## (.+)$", DOCUMENT, re.M)
    assert [title for title, _ in contents] == chapters
    assert [anchor for _, anchor in contents] == [
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in chapters
    ]
