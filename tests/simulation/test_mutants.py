from __future__ import annotations

import pytest

from studies.mutants import unchanged
from studies.planted import MUTANTS, ROOT, Mutant, load, load_all

# What must be found, whatever else is planted.
WANTED = {
    "acknowledged_before_commit",
    "actor_kept_after_failed_commit",
    "clock_used_as_version",
    "context_ignored",
    "counter_reused_after_amnesia",
    "decree_undone_by_an_older_holder",
    "entry_told_before_it_is_on_disk",
    "expired_deadline_acknowledged",
    "fallback_counted_twice",
    "handover_confirmed_early",
    "hint_deleted_before_its_ack",
    "hint_not_read",
    "lost_update_by_an_await",
    "merge_drops_concurrent_sibling",
    "missing_directory_sync",
    "old_coordinators_write_acknowledged_across_a_flip",
    "old_directory_not_discarded",
    "old_tombstone_kills_recreated_key",
    "quorum_of_w_minus_1",
    "read_of_incomplete_copy_votes",
    "retry_is_a_second_value",
    "rollback_not_noticed",
    "stale_read_repair",
    "third_node_promoted_without_data",
    "tree_keeps_a_dropped_hash",
    "writes_not_mirrored",
}


@pytest.mark.parametrize("name", [file.stem for file in sorted(MUTANTS.glob("*.toml"))])
def test_a_planted_bug_applies_to_the_code_as_it_is_and_compiles(name: str) -> None:
    mutant = load(MUTANTS / f"{name}.toml")
    changed = mutant.sources(ROOT)
    assert changed
    for file, source in changed.items():
        assert source != (ROOT / file).read_text(encoding="utf-8")
        compile(source, file, "exec")


@pytest.mark.parametrize("name", [mutant.name for mutant in load_all() if mutant.given])
def test_what_a_bug_is_looked_for_with_applies_without_the_bug(name: str) -> None:
    with_bug = load(MUTANTS / f"{name}.toml")
    given = unchanged(with_bug).sources(ROOT)
    assert given
    for file, source in given.items():
        compile(source, file, "exec")
    assert with_bug.sources(ROOT) != given


def test_every_planted_bug_says_why_it_is_there() -> None:
    def is_said(mutant: Mutant) -> bool:
        return mutant.why.endswith(".") and len(mutant.why) > 60

    assert [mutant.name for mutant in load_all() if not is_said(mutant)] == []


def test_the_bugs_that_must_be_found_are_planted() -> None:
    assert {mutant.name for mutant in load_all()} >= WANTED
