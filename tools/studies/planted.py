"""Planted bugs: small changes of the store, each with the reason why it is there.

A bug is a file of `tests/simulation/mutants`: ``why``, and for each ``[[change]]`` the ``file``,
the text ``before``, which must stand in it just once, and the text ``after``. ``faults`` may name
the kinds under which it shows; others would show it too, in more seeds. A ``[[given]]`` is a
change that is no bug: it sets what the bug is looked for with, and the code without the bug has
to hold under it too. Knows nothing of how bugs are looked for.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests" / "simulation" / "mutants"
PACKAGES = ("dynamo_py", "ring", "gossip")
"""What a simulation runs, and so what a copy must have."""

FAULTS = "bounded"
"""What a bug is looked for with, unless it names faults of its own."""


class DoesNotApply(Exception):
    """The code has changed since the bug was written down, or the bug is no code."""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text in the place of another."""

    file: str
    before: str
    after: str


class _Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    why: str
    change: list[Change]
    faults: str = FAULTS
    given: list[Change] = []


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug. What is given comes first, and then its changes, in order."""

    name: str
    why: str
    changes: tuple[Change, ...]
    faults: str = FAULTS
    given: tuple[Change, ...] = ()

    def sources(self, root: Path) -> dict[str, str]:
        """The changed files below ``root``, by path, as they would be; `DoesNotApply`."""
        changed: dict[str, str] = {}
        for change in self.given + self.changes:
            if change.file not in changed:
                changed[change.file] = self._read(root / change.file)
            source = changed[change.file]
            count = source.count(change.before)
            if count != 1:
                raise DoesNotApply(
                    f"{self.name}: the text is in {change.file} {count} times, not once:\n"
                    f"{change.before.rstrip()}"
                )
            changed[change.file] = source.replace(change.before, change.after)
        return changed

    def _read(self, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise DoesNotApply(f"{self.name}: {file}: {error.strerror}") from None

    def plant(self, root: Path) -> None:
        """Change the files below ``root``; `DoesNotApply`, and none is changed then."""
        changed = self.sources(root)
        for file, source in changed.items():
            try:
                compile(source, file, "exec")
            except SyntaxError as error:
                raise DoesNotApply(f"{self.name}: {file}:{error.lineno}: {error.msg}") from None
        for file, source in changed.items():
            (root / file).write_text(source, encoding="utf-8")


def load(file: Path) -> Mutant:
    """The bug in ``file``; `DoesNotApply` if none is there."""
    try:
        contents = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _Contents)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise DoesNotApply(f"{file.name}: {error}") from None
    return Mutant(
        name=file.stem,
        why=contents.why.strip(),
        changes=tuple(contents.change),
        faults=contents.faults,
        given=tuple(contents.given),
    )


def load_all(folder: Path = MUTANTS) -> list[Mutant]:
    """Every bug that is written down, by name."""
    return [load(file) for file in sorted(folder.glob("*.toml"))]


def copy_packages(root: Path, target: Path) -> None:
    """A copy, in ``target``, of all that a simulation runs."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / package, target / package, ignore=ignored)
