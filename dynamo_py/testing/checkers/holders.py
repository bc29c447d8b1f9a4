"""What is owed is there at every moment: on enough disks, and found by every quorum.

The checkers over histories see a promise broken when a client, or the final state, has met
it. These see it when it could be: one more disk lost, or one read at this very moment.

* An acknowledged write is on as many disks as it was promised to be, as a copy or as a hint,
  less those that were destroyed. So it is never lost while fewer are.
* A write that was acknowledged and not degraded is found by every quorum of those who may vote:
  fewer than R of them lack it.

Pure: looks at what each disk and each voter holds of one key at one moment, and knows nothing
of how that came about. What is owed: `dynamo_py.testing.owed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Held = frozenset[str]
"""The writes whose values somebody holds."""


def check_on_enough_disks(
    owed: Iterable[str], disks: Mapping[str, Held], *, required: int
) -> list[tuple[str, str]]:
    """Each write that is on fewer disks than ``required``, with what is wrong. O(owed x disks).

    ``disks`` are those that were not destroyed, by name.
    """
    found = []
    for write in owed:
        holders = sorted(name for name, held in disks.items() if write in held)
        if len(holders) < required:
            where = f"only on {' '.join(holders)}" if holders else "on no disk"
            found.append((write, f"is {where}, and was promised to be on {required}"))
    return found


def check_every_quorum_finds(
    owed: Iterable[str], voters: Mapping[str, Held], *, answers: int
) -> list[tuple[str, str]]:
    """Each write that ``answers`` of the ``voters`` lack, with what is wrong. O(owed x voters).

    ``voters`` are those who may vote, and agree on who is asked, by name.
    """
    found = []
    for write in owed:
        lacking = sorted(name for name, held in voters.items() if write not in held)
        if len(lacking) >= answers:
            found.append((write, f"would be missed by a read of {' '.join(lacking)}"))
    return found
