"""The minter: no two writes share a dot, whatever was forgotten, lost or brought back."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import Dot, Minter, VersionVector, vector_of

KEY = b"cart:alice"
NOTHING = VersionVector()


def new_minter(seed: int = 1, remembered_max: int = 100) -> Minter:
    return Minter(random.Random(seed), remembered_max=remembered_max)


def test_a_copy_goes_on_counting_in_the_actor_of_its_first_write():
    minter = new_minter()
    vector = NOTHING
    for counter in (1, 2, 3):
        dot = minter.mint(KEY, vector)
        assert dot == Dot(minter.boot, 1, counter)
        vector = vector.with_dot(dot)
    assert minter.actor_of(KEY) == vector.entries[0].actor
    assert len(vector.entries) == 1


def test_each_key_has_an_actor_of_its_own():
    minter = new_minter()
    assert minter.mint(b"a", NOTHING).actor != minter.mint(b"b", NOTHING).actor


def test_each_process_has_a_boot_of_its_own():
    assert new_minter(1).boot != new_minter(2).boot


def test_a_forgotten_copy_begins_a_new_life():
    minter = new_minter()
    first = minter.mint(KEY, NOTHING)
    minter.forget(KEY)
    assert minter.actor_of(KEY) is None
    assert minter.mint(KEY, vector_of([first])).actor != first.actor


def test_forgetting_what_was_never_known_is_no_error():
    new_minter().forget(KEY)


def test_a_copy_that_comes_back_without_its_last_write_begins_a_new_life():
    minter = new_minter()
    first = minter.mint(KEY, NOTHING)
    lost = minter.mint(KEY, vector_of([first]))
    again = minter.mint(KEY, vector_of([first]))
    assert again.actor == (minter.boot, 2)
    assert again not in (first, lost)


def test_an_actor_evicted_from_the_memory_is_never_used_again():
    minter = new_minter(remembered_max=2)
    first = minter.mint(b"a", NOTHING)
    minter.mint(b"b", NOTHING)
    minter.mint(b"c", NOTHING)
    assert minter.actor_of(b"a") is None
    assert minter.mint(b"a", vector_of([first])).actor != first.actor
    assert minter.statistics() == {"remembered": 2, "lives": 4}


def test_the_copy_written_longest_ago_is_evicted_first():
    minter = new_minter(remembered_max=2)
    first = minter.mint(b"a", NOTHING)
    minter.mint(b"b", NOTHING)
    minter.mint(b"a", vector_of([first]))
    minter.mint(b"c", NOTHING)
    assert minter.actor_of(b"a") is not None
    assert minter.actor_of(b"b") is None


def test_after_a_failed_commit_no_old_actor_goes_on_counting():
    minter = new_minter()
    before = minter.mint(KEY, NOTHING)
    old_boot = minter.boot
    minter.draw_boot()
    assert minter.boot != old_boot
    assert minter.actor_of(KEY) is None
    assert minter.mint(KEY, vector_of([before])).actor != before.actor


def test_a_restored_directory_takes_no_dot_that_has_left_already():
    """The old process minted three dots after the snapshot; the new one must not repeat any."""
    old = new_minter(seed=1)
    first = old.mint(KEY, NOTHING)
    snapshot = vector_of([first])
    left = {old.mint(KEY, snapshot)}
    new = new_minter(seed=2)
    assert new.mint(KEY, snapshot) not in left


def test_a_life_that_a_forged_context_names_in_advance_is_passed_over():
    minter = new_minter()
    forged = vector_of([Dot(minter.boot, 1, 2), Dot(minter.boot, 2, 1)])
    assert minter.mint(KEY, forged) == Dot(minter.boot, 3, 1)


keys = st.sampled_from([b"a", b"b", b"c", b"d"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), keys),
        st.tuples(st.just("mint, then fail"), keys),
        st.tuples(st.just("drop, telling"), keys),
        st.tuples(st.just("drop, not telling"), keys),
        st.tuples(st.just("roll back"), keys),
        st.tuples(st.just("bring back all"), keys),
        st.tuples(st.just("only the latest comes back"), keys),
        st.tuples(st.just("commit failed"), keys),
        st.tuples(st.just("restart"), keys),
    ),
    max_size=80,
)


@given(steps, st.integers(1, 3))
def test_no_dot_is_minted_twice_and_none_that_was_seen_under_any_interleaving(run, remembered):
    randomness = random.Random(5)
    minter = Minter(randomness, remembered_max=remembered)
    minted: dict[bytes, list[Dot]] = {}
    copies: dict[bytes, VersionVector] = {}
    before: dict[bytes, VersionVector] = {}
    for step, key in run:
        copy = copies.get(key, NOTHING)
        if step in ("write", "mint, then fail"):
            dot = minter.mint(key, copy)
            assert not copy.covers(dot)
            assert all(dot not in dots for dots in minted.values())
            minted.setdefault(key, []).append(dot)
            if step == "write":
                before[key], copies[key] = copy, copy.with_dot(dot)
        elif step.startswith("drop"):
            copies.pop(key, None)
            if step == "drop, telling":
                minter.forget(key)
        elif step == "roll back":
            copies[key] = before.get(key, NOTHING)
        elif step == "bring back all":
            copies[key] = vector_of(minted.get(key, []))
        elif step == "only the latest comes back":
            copies[key] = vector_of(minted.get(key, [])[-1:])
        elif step == "commit failed":
            minter.draw_boot()
            copies[key] = before.get(key, NOTHING)
        else:
            minter = Minter(randomness, remembered_max=remembered)
        minter._check()


@given(steps)
def test_a_write_never_makes_a_vector_claim_another_dot(run):
    """What a copy forgot stays forgotten: adding the new dot adds just that one."""
    minter = new_minter(remembered_max=2)
    minted: dict[bytes, list[Dot]] = {}
    copies: dict[bytes, frozenset[Dot]] = {}
    for step, key in run:
        seen = copies.get(key, frozenset())
        if step == "write":
            dot = minter.mint(key, vector_of(seen))
            after = vector_of(seen).with_dot(dot)
            minted.setdefault(key, []).append(dot)
            copies[key] = seen | {dot}
            assert {d for d in minted[key] if after.covers(d)} == copies[key]
        elif step == "drop, telling":
            copies.pop(key, None)
            minter.forget(key)
        elif step in ("drop, not telling", "roll back"):
            copies[key] = frozenset(sorted(seen)[: len(seen) // 2])
        elif step == "only the latest comes back":
            copies[key] = frozenset(minted.get(key, [])[-1:])
