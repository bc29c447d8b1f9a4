"""Tallies against models that are deliberately dumb: they try every way in which it can end."""

from __future__ import annotations

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.coordinator.plan import Needs
from dynamo_py.coordinator.tally import Answer, ReadTally, WriteTally

PRIMARIES = (b"p0", b"p1", b"p2", b"p3")
FALLBACKS = (b"f0", b"f1", b"f2")


def subsets(found):
    items = list(found)
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


@st.composite
def needs(draw, n: int) -> Needs:
    return Needs(draw(st.integers(1, n)), draw(st.integers(0, n)))


class DumbWrite:
    """Remembers what happened; judges by counting."""

    def __init__(self, n: int, wanted: Needs) -> None:
        self.n = n
        self.wanted = wanted
        self.open: set[tuple[int, bytes]] = set()
        self.acked: set[tuple[int, bytes]] = set()

    def is_met_by(self, acked) -> bool:
        places = [p for p in range(self.n) if any(place == p for place, _ in acked)]
        primaries = [p for p in range(self.n) if (p, PRIMARIES[p]) in acked]
        return len(places) >= self.wanted.answers and len(primaries) >= self.wanted.primaries

    def may_still_be_met(self) -> bool:
        return any(self.is_met_by(self.acked | set(more)) for more in subsets(self.open))


@given(st.integers(1, 4), st.data())
def test_a_write_is_met_or_hopeless_just_when_the_dumb_model_says_so(n, data):
    wanted = data.draw(needs(n))
    tally, model = WriteTally(PRIMARIES[:n], wanted), DumbWrite(n, wanted)
    for _ in range(data.draw(st.integers(0, 14))):
        if len(model.open) < 6 and data.draw(st.booleans()):
            place = data.draw(st.integers(0, n - 1))
            node = data.draw(st.sampled_from((PRIMARIES[place], *FALLBACKS)))
            if (place, node) not in model.acked:
                tally.asked(place, node)
                model.open.add((place, node))
        elif model.open:
            place, node = data.draw(st.sampled_from(sorted(model.open)))
            model.open.discard((place, node))
            if data.draw(st.booleans()):
                tally.acked(place, node)
                model.acked.add((place, node))
            else:
                tally.failed(place, node)
        tally._check()
        assert tally.is_met == model.is_met_by(model.acked)
        assert tally.is_hopeless == (not model.may_still_be_met())
        assert not (tally.is_met and tally.is_hopeless)
        assert set(tally.holders()) == {node for _, node in model.acked}
        assert set(tally.hinted()) == {
            (node, PRIMARIES[place]) for place, node in model.acked if node != PRIMARIES[place]
        }
        filled = {place for place, _ in model.acked}
        assert tally.silent_places() == [place for place in range(n) if place not in filled]


def test_a_place_counts_once_however_many_fill_it():
    tally = WriteTally(PRIMARIES[:3], Needs(2, 0))
    for node in (b"p0", b"f0", b"f1"):
        tally.asked(0, node)
        tally.acked(0, node)
    assert tally.filled == 1
    assert not tally.is_met
    assert tally.holders() == [b"p0", b"f0", b"f1"]


def test_an_acknowledgement_that_comes_twice_counts_once():
    tally = WriteTally(PRIMARIES[:3], Needs(2, 0))
    for _ in range(2):
        tally.asked(0, b"f0")
        tally.acked(0, b"f0")
    assert tally.hinted() == [(b"f0", b"p0")]


def test_a_write_is_degraded_where_fewer_primaries_than_w_took_it():
    tally = WriteTally(PRIMARIES[:3], Needs(2, 0))
    for place, node in ((0, b"p0"), (1, b"f0")):
        tally.asked(place, node)
        tally.acked(place, node)
    assert tally.is_met
    assert tally.is_degraded
    tally.asked(1, b"p1")
    tally.acked(1, b"p1")
    assert not tally.is_degraded


def test_a_write_is_degraded_where_fewer_that_may_vote_took_it():
    """Who reads by a walk of before may not know of a primary that is still to be completed."""
    tally = WriteTally(PRIMARIES[:3], Needs(2, 2))
    for place, node in ((0, b"p0"), (1, b"p1")):
        tally.asked(place, node)
        tally.acked(place, node, is_complete=place > 0)
    assert (tally.is_met, tally.primaries, tally.is_degraded) == (True, 2, True)
    tally.asked(2, b"p2")
    tally.acked(2, b"p2")
    assert not tally.is_degraded


def test_a_holder_of_two_places_is_named_once():
    tally = WriteTally(PRIMARIES[:2], Needs(2, 0))
    for place in (0, 1):
        tally.asked(place, b"f0")
        tally.acked(place, b"f0")
    assert tally.holders() == [b"f0"]
    assert tally.hinted() == [(b"f0", b"p0"), (b"f0", b"p1")]


class DumbRead:
    """Remembers who said what; judges by counting."""

    def __init__(self, primaries, wanted: Needs) -> None:
        self.primaries = primaries
        self.wanted = wanted
        self.open: set[bytes] = set()
        self.said: dict[bytes, bool] = {}

    def votes(self) -> list[bytes]:
        return [node for node, complete in self.said.items() if complete and node in self.primaries]

    def primaries_heard(self) -> list[bytes]:
        return [node for node in self.said if node in self.primaries]

    @property
    def has_its_primaries(self) -> bool:
        return len(self.primaries_heard()) >= self.wanted.primaries

    @property
    def is_met(self) -> bool:
        return len(self.votes()) >= self.wanted.answers and self.has_its_primaries

    @property
    def is_enough(self) -> bool:
        return len(self.said) >= self.wanted.answers and self.has_its_primaries


@given(st.integers(1, 4), st.data())
def test_a_read_is_met_or_enough_just_when_the_dumb_model_says_so(n, data):
    wanted = data.draw(needs(n))
    tally, model = ReadTally(PRIMARIES[:n], wanted), DumbRead(PRIMARIES[:n], wanted)
    for node in data.draw(st.permutations((*PRIMARIES[:n], *FALLBACKS))):
        tally.asked(node)
        model.open.add(node)
        while model.open and data.draw(st.booleans()):
            answering = data.draw(st.sampled_from(sorted(model.open)))
            model.open.discard(answering)
            if data.draw(st.booleans()):
                complete = data.draw(st.booleans())
                tally.answered(answering, Answer(None, complete))
                model.said[answering] = complete
            else:
                tally.failed(answering)
        tally._check()
        assert tally.is_met == model.is_met
        assert tally.is_enough == model.is_enough
        assert not tally.is_met or tally.is_enough
        assert tally.is_waiting == bool(model.open)
        coming = len([p for p in model.open if p in PRIMARIES])
        votes = wanted.answers - len(model.votes()) - coming
        primaries = wanted.primaries - len([p for p in model.said if p in PRIMARIES]) - coming
        assert tally.lacking == max(0, votes, primaries)
        assert sorted(tally.voters()) == sorted(model.votes())
        assert list(tally.answers()) == list(model.said)


def test_an_incomplete_copy_has_no_vote():
    tally = ReadTally(PRIMARIES[:3], Needs(2, 0))
    for node, complete in ((b"p0", True), (b"p1", False)):
        tally.asked(node)
        tally.answered(node, Answer(None, complete))
    assert tally.votes == 1
    assert not tally.is_met
    assert tally.is_enough


def test_a_fallback_has_no_vote():
    tally = ReadTally(PRIMARIES[:3], Needs(1, 0))
    tally.asked(b"f0")
    tally.answered(b"f0", Answer(b"record", True))
    assert not tally.is_met
    assert tally.is_enough


def test_those_who_are_late_are_waited_for_only_while_there_is_too_little():
    tally = ReadTally(PRIMARIES[:3], Needs(2, 0))
    for node in (b"p0", b"p1", b"p2"):
        tally.asked(node)
    tally.late()
    assert tally.is_waiting, "nothing is known yet"
    for node in (b"f0", b"f1"):
        tally.asked(node)
    tally.answered(b"f0", Answer(None, False))
    assert tally.is_waiting, "one answer is too few"
    tally.answered(b"f1", Answer(None, False))
    assert not tally.is_waiting
    tally.answered(b"p0", Answer(None, True))
    tally.answered(b"p1", Answer(None, True))
    assert tally.is_met
