"""What is stored on the simulator's disk: files, files of rows and directories.

Pure; knows nothing of processes or of when something is lost. Whatever is stored is a *synced*
state and the steps since, in their order: `dynamo_py.testing.disk` says what becomes of them.

Invariant: a step is on disk as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from dynamo_py.storage.engine import Address, Change
from dynamo_py.storage.memory import MemoryEngine

Batch: TypeAlias = Sequence[Change]
State = TypeVar("State")
Step = TypeVar("Step")


class Rotten(bytes):
    """A value that fails its checksum."""


class Stored(Generic[State, Step]):
    """A synced state, and the steps since."""

    def __init__(self, synced: State) -> None:
        self.synced = synced
        self.steps: list[Step] = []
        self.is_doubtful = False
        """Whether a sync has failed: nobody knows which of the steps are on disk."""

    def copied(self, state: State) -> State:
        """The same state once more."""
        raise NotImplementedError

    def carry_out(self, state: State, step: Step) -> None:
        """Change ``state`` by one step."""
        raise NotImplementedError

    def current(self) -> State:
        """What a process sees. O(state)."""
        state = self.copied(self.synced)
        for step in self.steps:
            self.carry_out(state, step)
        return state

    def keep(self, count: int) -> None:
        """That many of the steps are on disk from now on; the others never were."""
        for step in self.steps[:count]:
            self.carry_out(self.synced, step)
        self.steps.clear()
        self.is_doubtful = False


class File(Stored[bytearray, bytes | None]):
    """Bytes. A step appends some, or empties the file where it is None."""

    def copied(self, state: bytearray) -> bytearray:
        return bytearray(state)

    def carry_out(self, state: bytearray, step: bytes | None) -> None:
        if step is None:
            state.clear()
        else:
            state += step


class RowFile(Stored[dict[Address, bytes], Batch]):
    """Rows, as an engine keeps them. A step is a batch."""

    in_memory: MemoryEngine | None = None
    """What the process that has it open shows to its readers."""
    synced_sequence = 0
    """How many batches have made the synced state."""

    @property
    def sequence(self) -> int:
        """How many batches have made what a process sees. A step may be none."""
        return self.synced_sequence + sum(1 for batch in self.steps if batch)

    def keep(self, count: int) -> None:
        self.synced_sequence += sum(1 for batch in self.steps[:count] if batch)
        super().keep(count)

    def copied(self, state: dict[Address, bytes]) -> dict[Address, bytes]:
        return dict(state)

    def carry_out(self, state: dict[Address, bytes], step: Batch) -> None:
        for change in step:
            address = (change.space, change.partition, change.key)
            if change.value is None:
                state.pop(address, None)
            else:
                state[address] = change.value

    def open(self) -> MemoryEngine:
        """Show the rows to a new process's readers. O(rows log rows)."""
        self.in_memory = MemoryEngine()
        self.in_memory.apply([Change(*address, value) for address, value in self.current().items()])
        return self.in_memory

    def flip(self, address: Address) -> bool:
        """Let a row rot, in whichever version a crash may leave it; False if there is none."""
        if address not in self.current():
            return False
        if address in self.synced:
            self.synced[address] = Rotten(self.synced[address])
        self.steps = [[_rotten_at(address, change) for change in batch] for batch in self.steps]
        held = None if self.in_memory is None else self.in_memory.get(*address)
        if self.in_memory is not None and held is not None:
            self.in_memory.apply([Change(*address, Rotten(held))])
        return True


class Directory(Stored["dict[str, Entry]", "Mapping[str, Entry | None]"]):
    """Names. A step gives some of them to other files, or to none, at once."""

    def copied(self, state: dict[str, Entry]) -> dict[str, Entry]:
        return dict(state)

    def carry_out(self, state: dict[str, Entry], step: Mapping[str, Entry | None]) -> None:
        for name, entry in step.items():
            if entry is None:
                state.pop(name, None)
            else:
                state[name] = entry


Entry: TypeAlias = File | RowFile | Directory


def walked(entry: Entry) -> Iterator[Entry]:
    """An entry, then what is in it: after the caller has done something to the entry."""
    yield entry
    if isinstance(entry, Directory):
        for _, inner in sorted(entry.current().items(), key=lambda item: item[0]):
            yield from walked(inner)


def synced_copy(directory: Directory) -> Directory:
    """What is synced in a directory and below it, as if nothing else had ever been."""
    copies: dict[str, Entry] = {}
    for name, entry in directory.synced.items():
        if isinstance(entry, Directory):
            copies[name] = synced_copy(entry)
        elif isinstance(entry, RowFile):
            copies[name] = copied = RowFile(dict(entry.synced))
            copied.synced_sequence = entry.synced_sequence
        else:
            copies[name] = File(bytearray(entry.synced))
    return Directory(copies)


def _rotten_at(address: Address, change: Change) -> Change:
    if change.value is None or (change.space, change.partition, change.key) != address:
        return change
    return Change(*address, Rotten(change.value))
