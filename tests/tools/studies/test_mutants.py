from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studies import mutants
from studies.mutants import Finding, RunMany, Search, unchanged
from studies.planted import PACKAGES, ROOT, Change, DoesNotApply, Mutant, copy_packages, load

SEARCH = Search(5, 1, 30.0, "bounded", 2, stops_at_first=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Packages that are all but empty."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("LIMIT = 1\n")
    return tmp_path


def mutant(before: str = "LIMIT = 1", after: str = "LIMIT = 2") -> Mutant:
    return Mutant("off_by_one", "a reason", (Change("ring/__init__.py", before, after),))


def answering(*failing: dict[str, object]) -> RunMany:
    """A program that has this to say of the seeds, where the bug is planted."""

    def run_many(arguments: Sequence[str], folder: Path) -> bytes:
        is_planted = "2" in (folder / "ring" / "__init__.py").read_text()
        return json.dumps({"seeds": 5, "failing": failing if is_planted else []}).encode()

    return run_many


def violated(seed: int, *violations: str, verdict: str = "violated") -> dict[str, object]:
    return {"seed": seed, "verdict": verdict, "violations": violations}


def test_a_bug_is_planted_in_the_copy_alone_and_found_there(root: Path) -> None:
    run_many = answering(violated(4, "lost w4"), violated(2, "lost w2", "lost w3"))
    found = mutants.look_for(mutant(), SEARCH, run_many, root=root)
    assert found == Finding("off_by_one", True, 5, 2, 2, "lost w2")
    assert found.is_as_wanted
    assert (root / "ring" / "__init__.py").read_text() == "LIMIT = 1\n"
    before = mutants.look_for(unchanged(Mutant("", "", ())), SEARCH, run_many, root=root)
    assert before == Finding("(unchanged: bounded)", False, 5)
    assert before.is_as_wanted


def test_a_bug_that_no_seed_shows_is_not_found(root: Path) -> None:
    found = mutants.look_for(mutant(), SEARCH, answering(), root=root)
    assert not found.is_as_wanted
    assert mutants.verdict_of([found]) == "0 of 1 found; not found: off_by_one"


def test_a_process_that_dies_shows_no_broken_promise(root: Path) -> None:
    run_many = answering(violated(1, "lost w1"), violated(3, "no answer", verdict="died"))
    found = mutants.look_for(mutant(), SEARCH, run_many, root=root)
    assert found.trouble == "seed 3: no answer"
    assert not found.is_as_wanted


@pytest.mark.parametrize("before", ["LIMIT = 7", "I"])
def test_a_text_that_is_not_there_just_once_does_not_apply(root: Path, before: str) -> None:
    found = mutants.look_for(mutant(before), SEARCH, answering(), root=root)
    assert found.trouble is not None
    assert "times, not once" in found.trouble
    assert not found.is_as_wanted


def test_a_change_that_is_no_code_leaves_everything_as_it_was(root: Path) -> None:
    with pytest.raises(DoesNotApply, match="off_by_one"):
        mutant(after="LIMIT = = 2").plant(root)
    assert (root / "ring" / "__init__.py").read_text() == "LIMIT = 1\n"


def test_later_changes_see_the_earlier_ones(root: Path) -> None:
    changes = (
        Change("ring/__init__.py", "LIMIT = 1", "LIMIT = 2"),
        Change("ring/__init__.py", "LIMIT = 2", "LIMIT = 3"),
    )
    assert Mutant("two_steps", "", changes).sources(root) == {"ring/__init__.py": "LIMIT = 3\n"}


GIVEN = (Change("ring/__init__.py", "LIMIT = 1", "LIMIT = 1\nBOUND = 9"),)


def test_what_is_given_is_so_for_the_bug_and_for_the_code_as_it_is(root: Path) -> None:
    ran: list[str] = []

    def run_many(arguments: Sequence[str], folder: Path) -> bytes:
        ran.append((folder / "ring" / "__init__.py").read_text())
        return json.dumps({"seeds": 5, "failing": []}).encode()

    planted = replace(mutant(), given=GIVEN)
    for each in (unchanged(planted), planted):
        mutants.look_for(each, SEARCH, run_many, root=root)
    assert ran == ["LIMIT = 1\nBOUND = 9\n", "LIMIT = 2\nBOUND = 9\n"]
    assert (root / "ring" / "__init__.py").read_text() == "LIMIT = 1\n"


def test_code_that_fails_under_what_is_given_shows_nothing(root: Path) -> None:
    def run_many(arguments: Sequence[str], folder: Path) -> bytes:
        is_set = "BOUND" in (folder / "ring" / "__init__.py").read_text()
        failing = [violated(3, "lost w3")] if is_set else []
        return json.dumps({"seeds": 5, "failing": failing}).encode()

    as_it_is = unchanged(replace(mutant(), given=GIVEN))
    found = mutants.look_for(as_it_is, SEARCH, run_many, root=root)
    assert found == Finding("(unchanged: bounded, otherwise set)", False, 5, 1, 3, "lost w3")
    assert not found.is_as_wanted


def test_a_change_sees_what_is_given_and_not_the_other_way_round(root: Path) -> None:
    changes = (Change("ring/__init__.py", "BOUND = 9", "BOUND = 8"),)
    planted = replace(mutant(), given=GIVEN, changes=changes)
    assert planted.sources(root) == {"ring/__init__.py": "LIMIT = 1\nBOUND = 8\n"}
    with pytest.raises(DoesNotApply, match="0 times, not once"):
        replace(planted, given=changes, changes=GIVEN).sources(root)


def test_what_is_given_stands_in_the_file_of_the_bug(tmp_path: Path) -> None:
    tables = [
        f'[[{kind}]]\nfile = "ring/__init__.py"\nbefore = "{before}"\nafter = "{after}"'
        for kind, before, after in (("change", "a", "b"), ("given", "c", "d"))
    ]
    (tmp_path / "bug.toml").write_text("\n".join(['why = "x"', *tables]))
    assert load(tmp_path / "bug.toml") == Mutant(
        "bug",
        "x",
        (Change("ring/__init__.py", "a", "b"),),
        given=(Change("ring/__init__.py", "c", "d"),),
    )


@pytest.mark.parametrize("text", ["why = 'x'", "why = ", "[[change]]\nfile = 'a'"])
def test_a_file_that_is_no_bug_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.toml").write_text(text)
    with pytest.raises(DoesNotApply, match=r"broken\.toml"):
        load(tmp_path / "broken.toml")


def test_code_that_fails_unchanged_shows_nothing() -> None:
    findings = [
        Finding("(unchanged: bounded)", False, 5, 1, 3, "lost w3"),
        Finding("off_by_one", True, 5, 5, 1, "lost w1"),
    ]
    assert not findings[0].is_as_wanted
    assert mutants.verdict_of(findings) == (
        "1 of 1 found; the code as it is fails too, so this shows nothing"
    )


def test_a_process_imports_the_copy_and_not_what_is_installed(tmp_path: Path) -> None:
    copy_packages(ROOT, tmp_path)
    folder = tmp_path.resolve()
    assert mutants.imported_from(folder) == [folder / package for package in PACKAGES]
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_program_that_fails_otherwise_is_told_with_its_last_word(root: Path) -> None:
    with pytest.raises(DoesNotApply, match=r"No module named dynamo_py\.testing"):
        mutants.run_many(SEARCH.arguments(), root)


def test_each_bug_is_looked_for_with_its_faults_after_the_code_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    def look_for(mutant: Mutant, search: Search, run_many: RunMany, *, root: Path) -> Finding:
        asked.append((mutant.name, search.faults))
        return Finding(mutant.name, bool(mutant.changes), 40, len(mutant.changes), 3, "lost w3")

    change = Change("ring/__init__.py", "LIMIT = 1", "LIMIT = 2")
    planted = [Mutant("one", "", (change,)), Mutant("two", "", (change,), "crash")]
    monkeypatch.setattr(mutants, "load_all", lambda: planted)
    monkeypatch.setattr(mutants, "look_for", look_for)
    assert mutants.run([]) == 0
    assert asked == [
        ("(unchanged: bounded)", "bounded"),
        ("(unchanged: crash)", "crash"),
        ("one", "bounded"),
        ("two", "crash"),
    ]
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 found"
    assert mutants.run(["--only", "two", "--faults", "split"]) == 0
    assert asked[4:] == [("(unchanged: split)", "split"), ("two", "split")]


def test_the_code_as_it_is_goes_once_for_each_mix_of_faults_and_what_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Mutant] = []

    def look_for(mutant: Mutant, search: Search, run_many: RunMany, *, root: Path) -> Finding:
        asked.append(mutant)
        return Finding(mutant.name, bool(mutant.changes), 40, len(mutant.changes), 3, "lost w3")

    other = (Change("ring/__init__.py", "LIMIT = 1", "LIMIT = 1\nBOUND = 7"),)
    planted = [
        mutant(),
        replace(mutant(), name="two", given=GIVEN),
        replace(mutant(), name="three", given=other),
        replace(mutant(), name="four", given=GIVEN),
    ]
    monkeypatch.setattr(mutants, "load_all", lambda: planted)
    monkeypatch.setattr(mutants, "look_for", look_for)
    assert mutants.run([]) == 0
    assert [each.given for each in asked[:3]] == [(), GIVEN, other]
    assert [each.changes for each in asked[:3]] == [()] * 3
    assert asked[3:] == planted


def test_an_unknown_name_is_a_matter_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.run(["--only", "no_such_bug"]) == 2
    assert "no_such_bug" in capsys.readouterr().err
