"""The figures of many runs together, and whether two runs of a seed were the same.

Pure: knows nothing of processes, and only tells what outcomes say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dynamo_py.testing.outcome import Outcome
from dynamo_py.testing.report import replay_command


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over runs; ``wall_s`` is of all of them together, ``cpu_s`` their sum."""

    seeds: int
    failed: int
    violations: int
    operations: int
    acknowledged: int
    unknown: int
    not_applied: int
    degraded: int
    virtual_s: float
    wall_s: float
    cpu_s: float

    @property
    def acknowledged_share(self) -> float:
        """Of all operations, those that ended well."""
        return self.acknowledged / self.operations if self.operations else 0.0

    @property
    def virtual_per_wall(self) -> float:
        """Virtual seconds in one of the wall clock."""
        return self.virtual_s / self.wall_s if self.wall_s > 0 else 0.0

    @property
    def operations_per_cpu_s(self) -> float:
        """Operations of clients in one second of CPU."""
        return self.operations / self.cpu_s if self.cpu_s > 0 else 0.0

    def rows(self) -> list[tuple[str, str]]:
        """The table for people: a label and a figure each."""
        return [
            ("seeds", f"{self.seeds:,}"),
            ("seeds that failed", f"{self.failed:,}"),
            ("violations", f"{self.violations:,}"),
            *operation_rows(self),
            ("virtual seconds", f"{self.virtual_s:,.0f}"),
            ("wall seconds", f"{self.wall_s:,.1f}"),
            ("virtual / wall", f"{self.virtual_per_wall:,.1f}"),
            ("operations / CPU second", f"{self.operations_per_cpu_s:,.0f}"),
        ]

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "seeds": self.seeds,
            "failed": self.failed,
            "violations": self.violations,
            "operations": self.operations,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "not_applied": self.not_applied,
            "degraded": self.degraded,
            "acknowledged_share": round(self.acknowledged_share, 4),
            "virtual_s": round(self.virtual_s, 3),
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "virtual_per_wall": round(self.virtual_per_wall, 2),
            "operations_per_cpu_s": round(self.operations_per_cpu_s, 1),
        }


def operation_rows(summary: Summary) -> list[tuple[str, str]]:
    """What became of the operations."""
    return [
        ("operations", f"{summary.operations:,}"),
        ("acknowledged", f"{summary.acknowledged:,} ({summary.acknowledged_share:.1%})"),
        ("degraded among them", f"{summary.degraded:,}"),
        ("unknown", f"{summary.unknown:,}"),
        ("refused", f"{summary.not_applied:,}"),
    ]


def summarised(outcomes: Iterable[Outcome], *, wall_s: float) -> Summary:
    """The figures of ``outcomes``, which took ``wall_s`` together."""
    every = list(outcomes)
    reports = [outcome.report for outcome in every if outcome.report is not None]
    failed = [outcome for outcome in every if not outcome.is_passed]
    return Summary(
        seeds=len(every),
        failed=len(failed),
        violations=sum(len(outcome.violations) for outcome in failed),
        operations=sum(report.operations for report in reports),
        acknowledged=sum(report.acknowledged for report in reports),
        unknown=sum(report.unknown for report in reports),
        not_applied=sum(report.not_applied for report in reports),
        degraded=sum(report.degraded for report in reports),
        virtual_s=sum(report.virtual_s for report in reports),
        wall_s=wall_s,
        cpu_s=sum(outcome.cpu_s for outcome in every),
    )


def failing(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    """For JSON: each run that failed, by seed, and how to have it again."""
    return [
        {
            "seed": outcome.run.seed,
            "verdict": outcome.verdict,
            "violations": outcome.violations,
            "error": outcome.error,
            "replay": replay_command(outcome.run),
        }
        for outcome in sorted(outcomes, key=_by_seed)
        if not outcome.is_passed
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """A seed whose two runs were not one and the same, and how each of them ended."""

    seed: int
    ends: tuple[str, str]


def differences(
    first: Mapping[int, Outcome], second: Mapping[int, Outcome]
) -> tuple[Difference, ...]:
    """The seeds, in order, whose traces differ, or of which one run has none.

    A run without a trace is no proof of anything: it stopped at some moment that is not known.
    """
    return tuple(
        Difference(seed, (_end(first.get(seed)), _end(second.get(seed))))
        for seed in sorted({*first, *second})
        if not _is_same(first.get(seed), second.get(seed))
    )


def _is_same(one: Outcome | None, other: Outcome | None) -> bool:
    if one is None or other is None or one.trace is None:
        return False
    return one.report == other.report


def _end(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    return outcome.trace or outcome.violations[0]


def _by_seed(outcome: Outcome) -> int:
    return outcome.run.seed
