"""`hints`: what nodes keep for others that were away, and how the handing back goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.options import ONE_KEY_TIMEOUT_S, Command, Settings, pass_settings
from dyn_cli.output import print_json, print_table, print_text

if TYPE_CHECKING:
    from dynamo_py.wire.messages import HintFigures, HintsKept


@click.command("hints", cls=Command)
@pass_settings
def hints(settings: Settings) -> Status:
    """Show who keeps hints for whom, since when, and when they will have been handed back."""
    timeout_s = settings.timeout_s or ONE_KEY_TIMEOUT_S
    found = with_store(
        settings, lambda store: store.admin.hints(timeout=timeout_s), timeout_s=timeout_s
    )
    if settings.is_json:
        print_json(hints_document(found))
    else:
        _print_hints(found)
    return Status.DONE


def hints_document(found: HintFigures) -> dict[str, object]:
    """What `hints --json` prints. An ETA that nobody knows is null."""
    return {
        "hints": [_kept_document(kept) for kept in found.kept],
        "damaged": found.damaged,
        "counting": list(found.counting),
        "silent": list(found.silent),
    }


def _kept_document(kept: HintsKept) -> dict[str, object]:
    return {
        "holder": kept.holder,
        "target": kept.target,
        "count": kept.hints,
        "bytes": kept.bytes,
        "age_s": kept.age_ms / 1000,
        "per_minute": kept.per_minute,
        "eta_s": None if kept.eta_s < 0 else kept.eta_s,
    }


def waits_for_hints(found: HintFigures) -> list[str]:
    """What is left until no hints are kept, a line each; none: there are none."""
    waits = [f"{name} to count its hints" for name in found.counting]
    waits += [f"{name} to say what hints it keeps" for name in found.silent]
    for kept in found.kept:
        eta = "" if kept.eta_s < 0 else f", {span(kept.eta_s)} left"
        waits.append(f"{kept.hints} hints of {kept.holder} for {kept.target}{eta}")
    return waits


def _print_hints(found: HintFigures) -> None:
    if found.kept:
        columns = ("holder", "target", "hints", "bytes", "oldest", "a minute", "left")
        print_table(columns, [_row(kept) for kept in found.kept])
    elif not found.counting and not found.silent:
        print_text("no hints are kept")
    for name in found.counting:
        print_text(f"{name} has not counted all of its hints yet")
    for name in found.silent:
        print_text(f"{name} does not answer: what it keeps is not known")
    if found.damaged:
        print_text(f"{found.damaged} hints could not be read, and are lost: see docs/OPERATIONS.md")


def _row(kept: HintsKept) -> tuple[object, ...]:
    left = "?" if kept.eta_s < 0 else span(kept.eta_s)
    age = span(kept.age_ms / 1000)
    return (kept.holder, kept.target, kept.hints, kept.bytes, age, kept.per_minute, left)


def span(seconds: float) -> str:
    """A span of time for people, in its two largest units."""
    whole = round(seconds)
    units = (("d", whole // 86_400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60))
    shown = [f"{count} {unit}" for unit, count in (*units, ("s", whole % 60)) if count]
    return " ".join(shown[:2]) or "0 s"
