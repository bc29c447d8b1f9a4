from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossip.members import Member, Payload, State, fingerprint, merge

payloads = st.dictionaries(
    st.integers(0, 3),
    st.builds(Payload, st.integers(0, 3), st.sampled_from([b"", b"x", b"y"])),
    max_size=3,
)
members = st.builds(
    Member,
    node=st.just(b"n"),
    name=st.sampled_from(["one", "two"]),
    address=st.sampled_from(["a:1", "b:1"]),
    incarnation=st.integers(0, 2),
    state=st.sampled_from(list(State)),
    payloads=payloads,
)


@given(members, members)
def test_the_order_of_two_claims_does_not_matter(one, other):
    assert merge(one, other) == merge(other, one)


@given(members, members, members)
def test_how_claims_are_grouped_does_not_matter(one, two, three):
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(members, members)
def test_hearing_a_claim_again_changes_nothing(one, other):
    once = merge(one, other)
    assert merge(once, other) is once
    assert merge(one, one) is one


@given(members, members)
def test_a_merge_agrees_with_a_model_that_takes_the_greatest_of_each_part(one, other):
    merged = merge(one, other)
    assert merged.precedence() == max(one.precedence(), other.precedence())
    for topic in range(4):
        said = [m.payloads[topic] for m in (one, other) if topic in m.payloads]
        assert merged.payloads.get(topic) == max(said, default=None)


def claim(incarnation: int, state: State) -> Member:
    return Member(b"n", "one", "a:1", incarnation, state)


def test_the_worse_news_holds_at_one_incarnation():
    ordered = [claim(4, state) for state in State]
    for worse, better in zip(ordered[1:], ordered, strict=False):
        assert merge(better, worse) is worse


def test_a_higher_incarnation_overrides_even_the_worst_news():
    for state in State:
        assert merge(claim(4, state), claim(5, State.ALIVE)) == claim(5, State.ALIVE)


@given(members, members)
def test_members_that_differ_have_different_fingerprints(one, other):
    def told(member):
        versions = {topic: payload.version for topic, payload in member.payloads.items()}
        return (member.precedence(), versions)

    assert (fingerprint(one) == fingerprint(other)) == (told(one) == told(other))


def test_the_core_of_a_member_has_no_payloads():
    member = Member(b"n", "one", "a:1", payloads={1: Payload(1, b"x")})
    assert member.core() == Member(b"n", "one", "a:1")
    assert member.payloads == {1: Payload(1, b"x")}
