"""Errors across the wire: class, line, outcome and facts survive."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py import errors
from dynamo_py.errors import DynamoError, Outcome, ProtocolError
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.failures import to_error, to_message
from dynamo_py.wire.messages import Failure

OUTCOMES: list[Outcome] = ["not_applied", "unknown"]
texts = st.text(max_size=30)
counts = st.integers(0, 2**32)
seconds = st.floats(0, 1e6)


def subclasses(kind: type[DynamoError]) -> list[type[DynamoError]]:
    """The whole tree of errors, this one first."""
    return [kind, *(each for child in kind.__subclasses__() for each in subclasses(child))]


WITH_FACTS: dict[type[DynamoError], st.SearchStrategy[DynamoError]] = {
    errors.QuorumNotMet: st.builds(
        errors.QuorumNotMet, texts, required=counts, acked=st.lists(texts, max_size=3).map(tuple)
    ),
    errors.NodeUnavailable: st.builds(
        errors.NodeUnavailable, texts, reasons=st.dictionaries(texts, texts, max_size=3)
    ),
    errors.Overloaded: st.builds(errors.Overloaded, texts, retry_after=seconds),
    errors.SiblingsFound: st.builds(errors.SiblingsFound, texts, count=counts),
    errors.TooManySiblings: st.builds(errors.TooManySiblings, texts, count=counts, limit=counts),
}
TREE = [kind for kind in subclasses(DynamoError) if kind.__module__ == errors.__name__]


def across(error: DynamoError) -> DynamoError:
    """What the other side raises."""
    failure = decode_body(*encode_body(to_message(error)))
    assert isinstance(failure, Failure)
    return to_error(failure)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=30)
def test_an_error_is_the_same_on_the_other_side(kind, data):
    error = data.draw(WITH_FACTS.get(kind, st.builds(kind, texts)))
    if data.draw(st.booleans()):
        error.outcome = data.draw(st.sampled_from(OUTCOMES))
    arrived = across(error)
    assert type(arrived) is kind
    assert arrived.message == error.message
    assert arrived.outcome == error.outcome
    assert arrived.retryable == error.retryable
    assert arrived.facts() == error.facts()


def test_a_number_of_seconds_may_be_a_whole_one():
    arrived = across(errors.Overloaded("busy", retry_after=2))
    assert isinstance(arrived, errors.Overloaded)
    assert arrived.retry_after == 2


def test_an_error_of_a_newer_node_is_a_plain_one_with_the_same_line():
    error = to_error(Failure("CacheCold", "the cache is cold", "unknown", {"degrees": 4}))
    assert type(error) is DynamoError
    assert (error.message, error.outcome) == ("the cache is cold", "unknown")


def test_no_name_of_another_class_is_taken_for_an_error():
    for kind in ("Exception", "KeyboardInterrupt", "Outcome", "annotations", "__doc__", ""):
        assert type(to_error(Failure(kind, "line", "not_applied", {}))) is DynamoError


def test_an_outcome_that_is_not_known_leaves_that_of_the_class():
    error = to_error(Failure("DeadlineExceeded", "late", "perhaps", {}))
    assert error.outcome == "unknown"


@pytest.mark.parametrize("kind", WITH_FACTS, ids=lambda kind: kind.__name__)
def test_facts_that_are_missing_have_defaults(kind):
    assert type(to_error(Failure(kind.__name__, "line", "unknown", {}))) is kind


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("QuorumNotMet", {"required": "two"}),
        ("QuorumNotMet", {"required": 1.5}),
        ("QuorumNotMet", {"required": []}),
        ("QuorumNotMet", {"acked": "n1"}),
        ("QuorumNotMet", {"acked": 3}),
        ("NodeUnavailable", {"reasons": ["ab"]}),
        ("NodeUnavailable", {"reasons": "ab"}),
        ("Overloaded", {"retry_after": "soon"}),
        ("Overloaded", {"retry_after": {}}),
        ("SiblingsFound", {"count": float("inf")}),
        ("TooManySiblings", {"count": float("nan")}),
        ("TooManySiblings", {"limit": "many"}),
    ],
)
def test_facts_of_another_kind_are_refused(kind, facts):
    with pytest.raises(ProtocolError):
        to_error(Failure(kind, "line", "unknown", facts))
