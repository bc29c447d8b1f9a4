"""Changes of members: what operators stage and commit, as newer entries of the member map.

Pure: entries in, newer entries or `WrongState` out. A staged change is part of its member's
entry (`MemberEntry.staged`), so all nodes come to know it, and it moves nothing. To commit is to
give every such entry the state that is staged for it:

    joining -> member -> leaving -> removed        from each also straight to removed

States never go back, and of two entries of a member the one further along wins. So of what
was committed at the same time on the two sides of a network split nothing is taken back, by a
change that is only staged, or cleared, least of all.

Knows nothing of data, of links or of how tokens move. Invariant: what is staged changes neither
`claimants` nor `owners_for_claim`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import ring
from dynamo_py.cluster.members import JOINING, LEAVING, MEMBER, REMOVED, MemberMap
from dynamo_py.errors import WrongState
from dynamo_py.wire.messages import MemberEntry

_IS_ALREADY = {MEMBER: "is a member", LEAVING: "is leaving", REMOVED: "is removed"}
_IS_TO = {MEMBER: "join", LEAVING: "leave", REMOVED: "be removed"}


class Change(NamedTuple):
    """What an operator asks for: that the member called ``node`` comes to ``state``."""

    state: str
    """`MEMBER` (it joins), `LEAVING` or `REMOVED`."""
    node: str
    successor: str = ""
    """Who takes the place of one that is removed, by name; empty: all the others."""


class Seen(NamedTuple):
    """What was found out about a member just now."""

    is_up: bool
    """It is not believed to be down."""
    incomplete: int | None
    """How many of its copies may not vote yet; None where it did not say."""


# --- what follows from the committed states ------------------------------------------------------


def claimants(members: MemberMap) -> dict[bytes, ring.Claimant]:
    """Who should own tokens, by the committed members."""
    return {
        entry.node: ring.Claimant(entry.weight, entry.zone or entry.name)
        for entry in members.present
        if entry.state == MEMBER
    }


def owners_for_claim(owners: Sequence[bytes], members: MemberMap) -> tuple[bytes, ...]:
    """The ``owners`` by token that `ring.claim` starts from: successors in place of removed nodes.

    A removed node without a successor stays: it is no claimant, so its tokens are free.
    """
    heirs = {node: _heir(node, members) for node in dict.fromkeys(owners)}
    return tuple(heirs[owner] for owner in owners)


def _heir(node: bytes, members: MemberMap) -> bytes:
    """Who has taken the place of ``node``, after however many removals; else ``node`` itself."""
    passed = [node]
    while True:
        entry = members.get(passed[-1])
        if entry is None or entry.state != REMOVED or not entry.successor:
            return passed[-1]
        if entry.successor in passed:
            return node  # Each was to replace the other, on two sides of a split.
        passed.append(entry.successor)


# --- staging and committing ----------------------------------------------------------------------


def stage(members: MemberMap, change: Change) -> list[MemberEntry]:
    """The entries with which ``change`` is staged.

    Raises `WrongState` where there is no such node, or where it is so already.
    """
    entry = _present(members, change.node)
    if entry.state == JOINING and change.state == LEAVING:
        change = change._replace(state=REMOVED)  # It has nothing to hand over.
    successor = b""
    made = []
    if change.successor:
        heir = _successor(members, entry, change.successor)
        successor = heir.node
        if heir.state == JOINING:
            made.append(_next(heir, staged=MEMBER))
    _check_new(entry, change.state, successor)
    return [_next(entry, staged=change.state, successor=successor), *made]


def commit(entries: Iterable[MemberEntry]) -> list[MemberEntry]:
    """The entries of those for whom something is staged, with that as their state."""
    return [_next(entry, state=entry.staged, staged="") for entry in entries if entry.staged]


def clear(members: MemberMap) -> list[MemberEntry]:
    """The entries with which all staged changes are taken back.

    A node that waits to join is removed: it has no tokens, and nothing more to wait for.
    """
    return [
        _next(entry, state=REMOVED if entry.state == JOINING else entry.state, staged="")
        for entry in members.present
        if entry.staged or entry.state == JOINING
    ]


def after_commit(members: MemberMap) -> MemberMap:
    """The map as it would be with all staged changes committed."""
    return members.merged(commit(members.present))


def staged_changes(members: MemberMap) -> list[str]:
    """What is staged, in words, by the nodes' names."""
    return [
        _in_words(entry, entry.staged, members)
        for entry in sorted(members.present, key=lambda entry: entry.name)
        if entry.staged
    ]


def staged_waits(members: MemberMap) -> list[str]:
    """What waits for a commit, a line each, by the nodes' names."""
    waits = []
    for entry in sorted(members.present, key=lambda entry: entry.name):
        if entry.staged:
            is_replaced = entry.staged == REMOVED and entry.successor
            to = "be replaced" if is_replaced else _IS_TO.get(entry.staged, entry.staged)
            waits.append(f"{entry.name} is staged to {to}: `dyn-cli cluster plan`, then `commit`")
    return waits


def differences(before: MemberMap, after: MemberMap) -> list[str]:
    """What was changed from ``before`` to ``after``, in words, by the nodes' names."""
    words = []
    for entry in sorted(after.entries, key=lambda entry: entry.name):
        was = before.get(entry.node)
        if was is None or was.state != entry.state:
            words.append(_in_words(entry, entry.state, after))
        elif entry.staged and was != entry:
            words.append(f"staged: {_in_words(entry, entry.staged, after)}")
        elif was.staged and not entry.staged:
            words.append(f"not staged any more: {_in_words(was, was.staged, after)}")
    return words


def is_so(members: MemberMap, change: Change, *, is_staged: bool) -> bool:
    """Whether ``change`` was made already, so that to ask for it again is no error."""
    entries = [entry for entry in members.entries if entry.name == change.node]
    return any(
        entry.state == change.state or (is_staged and entry.staged == change.state)
        for entry in entries
    )


def _in_words(entry: MemberEntry, state: str, members: MemberMap) -> str:
    if state == REMOVED and entry.successor:
        heir = members.get(entry.successor)
        return f"{entry.name} is replaced by {heir.name if heir else entry.successor.hex()}"
    does = {MEMBER: "joins", LEAVING: "leaves", REMOVED: "is removed"}
    return f"{entry.name} {does.get(state, state)}"


def _next(entry: MemberEntry, **fields: str | bytes) -> MemberEntry:
    return entry._replace(version=entry.version + 1, **fields)  # type: ignore[arg-type]


def _present(members: MemberMap, name: str) -> MemberEntry:
    entry = members.named(name)
    if entry is None:
        known = ", ".join(sorted(each.name for each in members.present))
        raise WrongState(f"the cluster has no node {name!r}: its nodes are {known}")
    return entry


def _successor(members: MemberMap, entry: MemberEntry, name: str) -> MemberEntry:
    heir = _present(members, name)
    if heir.node == entry.node:
        raise WrongState(f"{name} cannot replace itself: start a new node, of another name")
    if heir.state == LEAVING or heir.staged in (LEAVING, REMOVED):
        raise WrongState(f"{name} cannot replace {entry.name}: it is to go itself")
    if heir.weight == 0:
        raise WrongState(f"{name} cannot replace {entry.name}: its weight is 0, it takes no tokens")
    return heir


def _check_new(entry: MemberEntry, state: str, successor: bytes) -> None:
    """Raise unless it would be a change."""
    name = entry.name
    if entry.state == state:
        raise WrongState(f"{name} {_IS_ALREADY[state]} already")
    if state == MEMBER and entry.state == LEAVING:
        raise WrongState(
            f"{name} is leaving, which cannot be taken back: let it end, and start it again on an"
            " empty directory"
        )
    if (entry.staged, entry.successor) == (state, successor) and entry.state != JOINING:
        raise WrongState(f"{name} is staged to {_IS_TO[state]} already")


# --- what would lose data ------------------------------------------------------------------------


def refuse_unsafe(
    before: MemberMap,
    after: MemberMap,
    *,
    replicas: int,
    seen: Mapping[bytes, Seen],
    is_commit: bool = True,
) -> None:
    """Raise `WrongState` where going from ``before`` to ``after`` may lose data.

    ``replicas`` is N; ``seen`` tells of the members of ``before``. ``is_commit`` False leaves out
    what may have passed by the time it is committed. An operator who knows better forces it.
    """
    gone = [e for e in before.present if e.state != JOINING and _is_removed(after, e.node)]
    _refuse_too_few(before, after, replicas)
    if len(gone) > replicas // 2:
        raise WrongState(
            f"{_listed(gone)} may have the only copies of some writes, since {replicas} replicas"
            " are kept: remove fewer at a time, or --force"
        )
    for entry in after.present:
        _refuse_leaving_while_down(before, entry, seen)
    for entry in gone:
        if entry.node in seen and seen[entry.node].is_up:
            raise WrongState(
                f"{entry.name} is up: let it leave, which saves what it holds; --force removes it"
                " without that"
            )
    if gone and is_commit:
        _refuse_while_busy(before, after, seen, gone)


def refuse_impossible(after: MemberMap) -> None:
    """Raise `WrongState` where nobody would be left to hold data, which no force makes right."""
    if not _holders(after):
        raise WrongState("no member would be left to hold data")


def _refuse_too_few(before: MemberMap, after: MemberMap, replicas: int) -> None:
    left, were = len(_holders(after)), len(_holders(before))
    if left < replicas and left < were:
        raise WrongState(
            f"{left} {'member' if left == 1 else 'members'} would be left, and {replicas} replicas"
            " are to be kept: let another node join first, or --force"
        )


def _refuse_leaving_while_down(
    before: MemberMap, entry: MemberEntry, seen: Mapping[bytes, Seen]
) -> None:
    was = before.get(entry.node)
    is_new = entry.state == LEAVING and (was is None or was.state != LEAVING)
    if is_new and entry.node in seen and not seen[entry.node].is_up:
        raise WrongState(
            f"{entry.name} is down, and can hand nothing over: start it again, or remove it"
        )


def _refuse_while_busy(
    before: MemberMap, after: MemberMap, seen: Mapping[bytes, Seen], gone: Sequence[MemberEntry]
) -> None:
    for entry in before.present:
        if entry.state == JOINING or _is_removed(after, entry.node):
            continue
        incomplete = seen[entry.node].incomplete if entry.node in seen else None
        if incomplete is None:
            raise WrongState(
                f"{entry.name} does not answer, and may need what {_listed(gone)} had: wait until"
                " it does, or --force"
            )
        if incomplete:
            raise WrongState(
                f"{entry.name} completes {incomplete}"
                f" {'partition' if incomplete == 1 else 'partitions'} still, and may need what"
                f" {_listed(gone)} had: wait until it is done; --force if it waits for that alone"
            )


def _holders(members: MemberMap) -> list[MemberEntry]:
    """Those who hold data, or will."""
    return [entry for entry in members.present if entry.state == MEMBER and entry.weight]


def _is_removed(members: MemberMap, node: bytes) -> bool:
    entry = members.get(node)
    return entry is not None and entry.state == REMOVED


def _listed(entries: Sequence[MemberEntry]) -> str:
    return ", ".join(sorted(entry.name for entry in entries))
