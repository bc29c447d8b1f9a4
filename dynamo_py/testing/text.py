"""Outcomes as text for people.

Pure: knows nothing of terminals. One outcome a function, a list of lines each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynamo_py.testing.outcome import Outcome
from dynamo_py.testing.report import replay_command
from dynamo_py.testing.summary import Difference, Summary, operation_rows, summarised

VIOLATIONS_SHOWN_MAX = 50


def lines_of_one(outcome: Outcome) -> list[str]:
    """All of one run; the last line is ``trace HASH``, or ``trace none`` where it broke off."""
    lines = _timeline(outcome)
    summary = summarised([outcome], wall_s=outcome.wall_s)
    if outcome.report is not None:
        lines += ["", *aligned(_figures_of_one(outcome, summary))]
    elif outcome.error is not None:
        lines += ["", outcome.error.rstrip()]
    lines += ["", *_verdict(outcome), f"trace {outcome.trace or 'none'}"]
    return lines


def _timeline(outcome: Outcome) -> list[str]:
    run = outcome.run
    lines = [
        f"seed {run.seed}: {run.nodes} nodes, {run.duration_s:g} virtual seconds,"
        f" faults {run.faults}, {run.clients} clients, {run.operations_per_s:g} operations/s"
    ]
    timeline = () if outcome.report is None else outcome.report.timeline
    shown = [f"{at_s:.3f}" for at_s, _ in timeline]
    width = max(map(len, shown), default=0)
    faults = zip(shown, timeline, strict=True)
    return lines + [f"  {at_s:>{width}} s  {text}" for at_s, (_, text) in faults]


def _figures_of_one(outcome: Outcome, summary: Summary) -> list[tuple[str, str]]:
    assert outcome.report is not None
    return [
        *operation_rows(summary),
        ("events", f"{outcome.report.events:,}"),
        (
            "virtual / wall",
            f"{summary.virtual_s:,.1f} s / {summary.wall_s:,.1f} s"
            f" = {summary.virtual_per_wall:,.1f}",
        ),
        ("operations / CPU second", f"{summary.operations_per_cpu_s:,.0f}"),
    ]


def _verdict(outcome: Outcome) -> list[str]:
    if outcome.is_passed:
        return ["passed: no violation"]
    shown = outcome.violations[:VIOLATIONS_SHOWN_MAX]
    lines = [f"violation: {violation}" for violation in shown]
    if len(outcome.violations) > len(shown):
        lines.append(f"and {len(outcome.violations) - len(shown)} more")
    lines.append(f"FAILED: {_count(outcome)}")
    return [*lines, f"again: {replay_command(outcome.run)}"]


def _count(outcome: Outcome) -> str:
    if outcome.report is None:
        return "the run broke off" if outcome.verdict == "raised" else "the process was lost"
    count = len(outcome.violations)
    return f"{count} violation{'s' if count > 1 else ''}"


def lines_of_many(outcomes: Iterable[Outcome], summary: Summary) -> list[str]:
    """Each run that failed, with its first violation, and the figures of all."""
    lines: list[str] = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.run.seed):
        if not outcome.is_passed:
            lines += [
                f"seed {outcome.run.seed}: {_count(outcome)}; the first: {outcome.violations[0]}",
                f"  again: {replay_command(outcome.run)}",
            ]
    verdict = f"FAILED: {summary.failed} of {summary.seeds} seeds" if summary.failed else "passed"
    return [*lines, *([""] if lines else []), *aligned(summary.rows()), verdict]


def lines_of_same(count: int, found: Sequence[Difference]) -> list[str]:
    """How many of ``count`` seeds had two runs alike, and which had not."""
    lines = [
        f"seed {difference.seed}: {difference.ends[0]} and then {difference.ends[1]}"
        for difference in found
    ]
    return [*lines, f"{count - len(found)} of {count} the same"]


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Two columns: labels, and figures."""
    width = max(len(label) for label, _ in rows)
    return [f"{label:<{width}}  {figure}" for label, figure in rows]
