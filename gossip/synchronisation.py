"""Push-pull: summaries first, then digests where they differ, then only what differs.

    asker                      answerer
      Offer(summary)     ->                  silent when its own summary is the same
                         <-    RangeDigests  the summaries of ranges of node ids
      Digests            ->                  fingerprints, of the ranges that differ
                         <-    States()      what the asker does not know, or knows differently
                         <-    States(wanted)
      States()           ->                  what was wanted in return

A small table is not cut into ranges: there the answer to an `Offer` is the `Digests` of the
whole, and the rest goes the other way round. With n members of which few differ, some
40 * sqrt(n) bytes travel rather than 30 * n.

Pure functions over a table. Knows nothing of when a push-pull is due.

Source: Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (PODC 1987),
section 1.3 (checksums before contents); push-pull of whole states is memberlist's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from gossip.messages import (
    DIGESTS_PER_MESSAGE_MAX,
    RANGES_PER_MESSAGE_MAX,
    Digest,
    Digests,
    RangeDigest,
    RangeDigests,
    Update,
)
from gossip.table import MemberTable

RANGE_MEMBERS_MIN = 16


def opening(table: MemberTable) -> RangeDigests | Digests:
    """What answers an `Offer` whose summary differs: ranges, or all when there are few. O(n log n).

    There are about as many ranges as members in each, so that both steps cost the same.
    """
    width = max(RANGE_MEMBERS_MIN, math.isqrt(len(table)))
    if len(table) <= 2 * width:
        (page,) = digest_pages(table)
        return page
    nodes = _nodes(table)
    entries = []
    for start in range(0, len(nodes), width):
        own = nodes[start : start + width]
        high = own[-1] if start + width < len(nodes) else b""
        entries.append(RangeDigest(high, _summary(table, own)))
    assert len(entries) <= RANGES_PER_MESSAGE_MAX
    return RangeDigests(tuple(entries))


def differing_ranges(
    table: MemberTable, theirs: Sequence[RangeDigest]
) -> list[tuple[bytes, bytes]]:
    """The ranges, low and high, of which we know otherwise; neighbours are joined. O(n log n)."""
    nodes = _nodes(table)
    ranges: list[tuple[bytes, bytes]] = []
    low = b""
    for entry in theirs:
        if _summary(table, _within(nodes, low, entry.high)) != entry.fingerprint:
            joined = ranges.pop()[0] if ranges and ranges[-1][1] == low else low
            ranges.append((joined, entry.high))
        low = entry.high
    return ranges


def digest_pages(
    table: MemberTable,
    low: bytes = b"",
    high: bytes = b"",
    *,
    page_entries: int = DIGESTS_PER_MESSAGE_MAX,
) -> list[Digests]:
    """Digests of ``low < node <= high``, empty being the end; the pages leave no gap. O(n log n).

    At least one page, for that nothing is known there is worth telling as well.
    """
    nodes = _within(_nodes(table), low, high)
    pages = []
    for start in range(0, max(1, len(nodes)), page_entries):
        page = nodes[start : start + page_entries]
        page_high = page[-1] if start + page_entries < len(nodes) else high
        entries = tuple(Digest(node, table.fingerprint(node)) for node in page)
        pages.append(Digests(low, page_high, entries))
        low = page_high
    return pages


def differences(table: MemberTable, page: Digests) -> tuple[list[bytes], list[bytes]]:
    """What to tell and what to ask for, of the nodes in this page's range.

    To tell: what we know and the other does not, or knows differently. To ask for: the same
    the other way round. Both are ordered by node id. O(n).
    """
    theirs = {entry.node: entry.fingerprint for entry in page.entries}
    ours = {
        member.node: table.fingerprint(member.node)
        for member in table
        if page.low < member.node and (not page.high or member.node <= page.high)
    }
    tell = sorted(node for node in ours if theirs.get(node) != ours[node])
    ask = sorted(node for node in theirs if ours.get(node) != theirs[node])
    return tell, ask


def split(updates: Iterable[Update], bytes_max: int) -> list[tuple[Update, ...]]:
    """The updates in groups, each of at most so many bytes; at least one group."""
    groups: list[list[Update]] = [[]]
    left = bytes_max
    for update in updates:
        size = update.bytes_max()
        if groups[-1] and size > left:
            groups.append([])
            left = bytes_max
        groups[-1].append(update)
        left -= size
    return [tuple(group) for group in groups]


def _nodes(table: MemberTable) -> list[bytes]:
    return sorted(member.node for member in table)


def _within(nodes: list[bytes], low: bytes, high: bytes) -> list[bytes]:
    """Those of the ordered nodes that are in the range."""
    return nodes[bisect_right(nodes, low) : bisect_right(nodes, high) if high else len(nodes)]


def _summary(table: MemberTable, nodes: Iterable[bytes]) -> int:
    summary = 0
    for node in nodes:
        summary ^= table.fingerprint(node)
    return summary
