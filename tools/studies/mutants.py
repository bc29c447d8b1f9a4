"""`make sim-mutants`: does the simulator find bugs? Some are planted, and it is asked.

Each bug of `tests/simulation/mutants` is planted in a copy of the packages, and
`python -m dynamo_py.testing many` is run on that copy. The code as it is goes first, under the
same conditions: what it fails on would be found under any bug, and then nothing would be shown.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec

from studies.planted import FAULTS, PACKAGES, ROOT, DoesNotApply, Mutant, copy_packages, load_all

INTERRUPTED = 130
RUN_WALL_S_MAX = 120
"""A run that takes longer is killed: a planted bug may make it turn for ever."""
SHOWN_MAX = 100
"""How much of a violation is shown in the table."""


class _Failing(msgspec.Struct, frozen=True):
    seed: int
    verdict: str
    violations: list[str]
    error: str | None = None


class _Many(msgspec.Struct, frozen=True):
    """What is needed here of the document that ``many --json`` prints."""

    seeds: int
    failing: list[_Failing]


@dataclass(frozen=True, slots=True)
class Search:
    """Which seeds a bug is looked for with, and how."""

    count: int
    first: int
    duration_s: float
    faults: str
    processes: int
    stops_at_first: bool

    def arguments(self) -> list[str]:
        """For ``python -m``."""
        flags = ["--stop-at-first"] if self.stops_at_first else []
        return [
            *("dynamo_py.testing", "many", "--json", *flags),
            *("--count", str(self.count), "--from", str(self.first)),
            *("--duration", f"{self.duration_s:g}", "--faults", self.faults),
            *("--processes", str(self.processes), "--run-limit", str(RUN_WALL_S_MAX)),
        ]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the seeds showed of one bug, or of the code as it is.

    ``trouble`` says why they could show nothing.
    """

    name: str
    is_planted: bool
    seeds: int = 0
    found: int = 0
    seed: int | None = None
    violation: str = ""
    trouble: str | None = None

    @property
    def is_found(self) -> bool:
        """Whether some seed showed it."""
        return self.found > 0 and self.trouble is None

    @property
    def is_as_wanted(self) -> bool:
        """Whether a bug was found; the code as it is must show none."""
        return self.trouble is None and self.is_found is self.is_planted


RunMany = Callable[[Sequence[str], Path], bytes]
"""Runs ``python -m`` these arguments on the packages in a folder; gives what it prints."""


def run_many(arguments: Sequence[str], folder: Path) -> bytes:
    """A `RunMany`: in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        check=False,
    )
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode not in (0, 1) or not done.stdout:
        raise DoesNotApply(_last_line(done.stderr.decode(errors="replace")))
    return done.stdout


def environment_of(folder: Path) -> dict[str, str]:
    """Where the packages in ``folder`` come before those that are installed."""
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def imported_from(folder: Path) -> list[Path]:
    """Where a process with `environment_of` has each of `PACKAGES` from."""
    code = (
        "import importlib.util as u, sys\nfor name in sys.argv[1:]: print(u.find_spec(name).origin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *PACKAGES],
        cwd=folder,
        env=environment_of(folder),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [Path(line).parent for line in done.stdout.splitlines()]


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A folder with the packages of ``root``, for as long as the body runs."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        folder = Path(place).resolve()
        copy_packages(root, folder)
        yield folder


def look_for(mutant: Mutant, search: Search, run_many: RunMany, *, root: Path) -> Finding:
    """Plant ``mutant`` in a copy of the packages in ``root``, and run the seeds.

    One without changes is the code as it is.
    """
    nothing = Finding(mutant.name, bool(mutant.changes))
    with copy_of(root) as folder:
        try:
            mutant.plant(folder)
            many = msgspec.json.decode(run_many(search.arguments(), folder), type=_Many)
        except (DoesNotApply, msgspec.MsgspecError) as error:
            return replace(nothing, trouble=str(error))
    return _judged(replace(nothing, seeds=many.seeds), many.failing)


def _judged(nothing: Finding, failing: list[_Failing]) -> Finding:
    if not failing:
        return nothing
    # A process that gave no answer shows no broken promise.
    died = next((each for each in failing if each.verdict == "died"), None)
    if died is not None:
        return replace(nothing, trouble=f"seed {died.seed}: {died.violations[0]}")
    first = min(failing, key=lambda each: each.seed)
    return replace(nothing, found=len(failing), seed=first.seed, violation=first.violations[0])


def unchanged(mutant: Mutant) -> Mutant:
    """No bug at all: what the code as it is shows under the same faults, with the same given."""
    others = ", otherwise set" if mutant.given else ""
    name = f"(unchanged: {mutant.faults}{others})"
    return replace(mutant, name=name, why="to compare with", changes=())


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--from", "first", type=int, default=1, show_default=True)
@click.option("--duration", default=30.0, show_default=True, help="virtual seconds of a run")
@click.option("--faults", help=f"for all bugs; else those that a bug names, or {FAULTS}")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="these bugs alone")
@click.option("--stop-at-first", is_flag=True, help="one seed that shows a bug is enough")
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
def main(
    *,
    count: int,
    first: int,
    duration: float,
    faults: str | None,
    processes: int,
    only: tuple[str, ...],
    stop_at_first: bool,
    as_json: bool,
) -> int:
    """Plant bugs, and see whether the simulator finds each."""
    mutants = _chosen(load_all(), only)
    if faults is not None:
        mutants = [replace(mutant, faults=faults) for mutant in mutants]
    compared = dict.fromkeys(map(unchanged, mutants))
    search = Search(count, first, duration, FAULTS, processes, stop_at_first)
    with copy_of(ROOT) as folder:
        assert imported_from(folder) == [folder / package for package in PACKAGES]
    findings: list[Finding] = []
    for mutant in (*compared, *mutants):
        its_search = replace(search, faults=mutant.faults)
        findings.append(look_for(mutant, its_search, run_many, root=ROOT))
        if not as_json:
            click.echo(line_of(findings[-1]))
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        click.echo(verdict_of(findings))
    return int(not all(finding.is_as_wanted for finding in findings))


def _chosen(mutants: Sequence[Mutant], only: Sequence[str]) -> list[Mutant]:
    unknown = sorted({*only} - {mutant.name for mutant in mutants})
    if unknown:
        raise click.UsageError(f"there is no mutant {unknown[0]!r}")
    return [mutant for mutant in mutants if not only or mutant.name in only]


def line_of(finding: Finding) -> str:
    """A row of the table: the name, in how many seeds, the first one, and what it showed."""
    if finding.trouble is not None:
        return f"{finding.name:<40}  {'-':>9}  {'-':>6}  {_cut(finding.trouble)}"
    share = f"{finding.found} of {finding.seeds}"
    seed = "-" if finding.seed is None else str(finding.seed)
    return f"{finding.name:<40}  {share:>9}  {seed:>6}  {_cut(finding.violation)}".rstrip()


def verdict_of(findings: Sequence[Finding]) -> str:
    """The last line."""
    planted = [finding for finding in findings if finding.is_planted]
    missed = [finding.name for finding in planted if not finding.is_found]
    verdict = f"{len(planted) - len(missed)} of {len(planted)} found"
    if missed:
        verdict += f"; not found: {', '.join(missed)}"
    if not all(finding.is_as_wanted for finding in findings if not finding.is_planted):
        verdict += "; the code as it is fails too, so this shows nothing"
    return verdict


def _cut(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= SHOWN_MAX else line[: SHOWN_MAX - 1] + "…"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "the program printed nothing"


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    try:
        return int(main.main(list(arguments), prog_name="studies.mutants", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
