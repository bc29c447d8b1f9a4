"""Whether nodes tell each other only those entries of the table that are on their author's disk.

One that is lost with its author's memory may be made again, for somebody else. So of all disks an
entry comes to that of its author first: of whoever owned the token before, by the entry that it
follows. And whatever a node knows must be, or have been, on some disk, which is all that can be
said of a decree, since any member may make one.

Sees each disk as it changes; knows nothing of when nodes are to be asked what they know.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dynamo_py.cluster.state import KEY, decode_row
from dynamo_py.errors import StorageError
from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing.hosts import Host
from dynamo_py.testing.simulation import Simulation
from dynamo_py.testing.stored import Rotten
from dynamo_py.wire.messages import Table, TableEntry

_ROW = (Space.META, 0, KEY)


class ToldOnly:
    """The entries that were on some disk so far, and what was wrong about them."""

    def __init__(self, sim: Simulation) -> None:
        """Of each disk of ``sim`` every state is seen: between two looks there may be many."""
        self._sim = sim
        self._rows: dict[str, bytes] = {}
        self._stored: set[TableEntry] = set()
        self._owners: dict[tuple[int, int, int], set[bytes]] = {}
        """Of the entries that were stored: by token, term and version."""
        self._found: list[str] = []
        for host in sim.hosts:
            self._look(host)
        self._found.clear()  # Whose disk was the first for these was not seen.
        sim.on_stored.append(self._look)

    def check(self) -> list[str]:
        """What is wrong, in words: what was found since the last time, and what is so now."""
        found, self._found = self._found, []
        return found + [
            f"{node.config.name} knows that {node.view.name_of(entry.owner)} owns token"
            f" {entry.token}, by version {entry.version}, which is on no disk"
            for node in self._sim.nodes.values()
            for entry in node.view.table.entries
            if entry not in self._stored and (entry.term or entry.version)
        ]

    def _look(self, host: Host) -> None:
        row = host.disk.synced_row(Path(host.config.data_dir) / DATABASE_FILE, _ROW)
        if row is None or isinstance(row, Rotten) or row is self._rows.get(host.name):
            return
        self._rows[host.name] = row
        # One that cannot be read is known to nobody by it.
        with suppress(StorageError):
            self._note(host.name, decode_row(row))

    def _note(self, host: str, table: Table) -> None:
        names = {member.node: member.name for member in table.members}
        for entry in table.entries:
            if entry in self._stored:
                continue
            before = self._owners.get((entry.token, entry.term, entry.version - 1), set())
            authors = [names.get(owner, "") for owner in sorted(before)]
            if authors and host not in authors:
                self._found.append(
                    f"{host} has on its disk that {names.get(entry.owner)} owns token"
                    f" {entry.token}, by version {entry.version}, before {' or '.join(authors)} has"
                )
            self._stored.add(entry)
            place = (entry.token, entry.term, entry.version)
            self._owners.setdefault(place, set()).add(entry.owner)
