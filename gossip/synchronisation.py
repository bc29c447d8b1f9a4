"""Push-pull in three steps: a summary, then digests, then only what differs.

    asker                      answerer
      Offer(summary)     ->                  silent when its own summary is the same
                         <-    Digests       all that it knows, as fingerprints, in pages
      States(wanted)     ->                  what differs, and what is wanted in return
                         <-    States()      what was wanted

Pure functions over a table. Knows nothing of when a push-pull is due.

Source: Demers et al., "Epidemic Algorithms for Replicated Database Maintenance" (PODC 1987),
section 1.3 (checksums before contents); push-pull of whole states is memberlist's.
"""

from __future__ import annotations

from collections.abc import Iterable

from gossip.messages import DIGESTS_PER_MESSAGE_MAX, Digest, Digests, Update
from gossip.table import MemberTable


def digest_pages(table: MemberTable, page_entries: int = DIGESTS_PER_MESSAGE_MAX) -> list[Digests]:
    """Digests of the whole table; the pages' ranges cover all node ids without a gap."""
    nodes = sorted(member.node for member in table)
    pages = []
    low = b""
    for start in range(0, len(nodes), page_entries):
        page = nodes[start : start + page_entries]
        high = page[-1] if start + page_entries < len(nodes) else b""
        entries = tuple(Digest(node, table.fingerprint(node)) for node in page)
        pages.append(Digests(low, high, entries))
        low = high
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
