"""Trio in virtual time, in an order that a seed decides, with hosts that can be paused.

Alone uses trio's private names, for which ``pyproject.toml`` bounds trio's version. Knows nothing
of nodes, networks or disks: a host is a name that tasks belong to.

Trio runs its tasks in batches: all that are ready, each for one step, that is until it next
waits. Invariants:

- The order of steps depends on the program and the seed only: not on addresses, on
  ``PYTHONHASHSEED``, nor on what has run or was changed in this process before. Each batch is
  sorted by when its tasks were spawned, then shuffled by a generator of this run.
- Time stands still while a task is ready, then jumps to the next deadline.
- Between `Scheduler.pause` and `Scheduler.resume` no task of the host takes a step.
- After a run trio is as it was, however the run ended. Nothing is changed at import.

Where trio walks a set of tasks, a difference between two processes could come in:

| where | why the order of steps is the same all the same |
|---|---|
| ``Event``, channels: their sets of tasks | all are made ready at once, and the batch is sorted |
| deadlines that are equal | trio orders by ``id``; here by when they were set |
| children of a nursery | trio never walks the set |
| tasks and scopes below a cancelled scope | abort functions are called in order of addresses |

The last one remains. It cannot be seen as long as the abort functions of tasks that are cancelled
together commute, as all of trio's own do (each takes its own task off a list of waiters); those
of `dynamo_py.net.signal` must. What also remains, for a program under this module to stay clear
of: threads and sockets, for which virtual time does not wait; async generators that are left to
the garbage collector; and the text of ``Cancelled`` and of a task's ``repr``, with addresses.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from heapq import heappush
from itertools import count
from math import inf
from operator import attrgetter
from types import ModuleType
from typing import Any, Protocol, TypeVar

import trio
from trio._core import _run
from trio._core._traps import WaitTaskRescheduled
from trio.lowlevel import Abort, Task
from trio.testing import MockClock

from dynamo_py.testing.randomness import Streams

T = TypeVar("T")

NAMES_SHOWN_MAX = 20
TURNS_UNASKED = 64
"""At how many turns of trio's loop the kernel is asked once whether anything has happened."""


class Stuck(Exception):
    """No task can ever take a step again: all wait, and no deadline is set.

    ``waiting`` has the names of all tasks but trio's own, in the order of their spawning,
    ``paused`` the hosts that were paused, sorted; ``at_s`` is the virtual time, in seconds.
    """

    def __init__(self, *, waiting: tuple[str, ...], paused: tuple[str, ...], at_s: float) -> None:
        self.waiting = waiting
        self.paused = paused
        self.at_s = at_s
        shown = ", ".join(waiting[:NAMES_SHOWN_MAX])
        more = len(waiting) - NAMES_SHOWN_MAX
        rest = f" and {more} more" if more > 0 else ""
        hosts = f"; paused: {', '.join(paused)}" if paused else ""
        super().__init__(f"at {at_s} s all tasks wait, with no deadline: {shown}{rest}{hosts}")


def run_in_virtual_time(main: Callable[[Scheduler], Awaitable[T]], *, seed: int) -> T:
    """Run ``main(scheduler)`` in a trio run of its own, and return what it returns.

    Time begins at 0 and costs nothing to wait for. May be called wherever no trio run is active
    in this thread; one at a time in a process, because some of trio's order is global.

    Raises what ``main`` raises, as `trio.run` does. Raises `Stuck` once no task can ever take a
    step again, after cancelling ``main`` (and, should that not help, after opening all shields),
    from whatever ``main`` then ended with. Raises `RuntimeError`, with nothing run, when a trio
    run is active in this thread or another run in virtual time in this process.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("a run in virtual time cannot start inside a trio run")
    if isinstance(_run._r, _NeverReverses):
        raise RuntimeError("another run in virtual time is active in this process")
    clock = MockClock(autojump_threshold=0)
    scheduler = Scheduler(clock, Streams(seed).named("scheduling"))
    with (
        _replaced(_run, "_r", _NeverReverses(0)),
        # Hypothesis sets this for the whole process, and trio would then reorder our batches.
        _replaced(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", False),
    ):
        try:
            return trio.run(scheduler._main, main, clock=clock)
        except trio.TrioInternalError as error:
            if isinstance(error.__cause__, Stuck):
                raise error.__cause__ from None
            raise


class Scheduler:
    """What a run in virtual time offers to its program: hosts, and pausing them."""

    def __init__(self, clock: MockClock, generator: random.Random) -> None:
        """Made by `run_in_virtual_time` only."""
        self._clock = clock
        self._queue = _RunQueue(generator)
        # The tasks of each paused host that would be ready, in the order they became so.
        self._withheld: dict[str, dict[Task, _Interception | None]] = {}
        self._main_scope = trio.CancelScope()
        self._stuck: Stuck | None = None
        self._are_shields_open = False

    @property
    def steps(self) -> int:
        """How many steps were taken, the whole of the present batch included."""
        return self._queue.steps

    @contextmanager
    def belonging_to(self, host: str) -> Iterator[None]:
        """Tasks spawned inside, and all that they spawn, belong to ``host``.

        The task that enters does not, neither inside nor afterwards. Nor do trio's system tasks.
        """
        opener = trio.lowlevel.current_task()._counter
        token = _BELONGING.set(_Belonging(host, opener, _BELONGING.get()))
        try:
            yield
        finally:
            _BELONGING.reset(token)

    def is_paused(self, host: str) -> bool:
        """Whether ``host`` is paused."""
        return host in self._withheld

    def pause(self, host: str) -> None:
        """From now on no task of ``host`` takes a step, as by SIGSTOP; no change if it is paused.

        Meanwhile time goes on, its deadlines pass, its events are set, its tasks may be cancelled
        and new ones be spawned: all this its tasks learn of at `resume`. A task that pauses its
        own host goes on until it next waits.

        Once nothing else can ever happen in the run, and the nursery that the host was started in
        is cancelled, all hosts are resumed, so that a run that fails can end; likewise when
        ``main`` has ended.
        """
        if host in self._withheld:
            return
        withheld: dict[Task, _Interception | None] = {}
        self._withheld[host] = withheld
        vars(self._queue)["append"] = self._append_unless_withheld
        for task in self._queue.take_all():
            self._queue.append(task)
        for task in self._queue.batch:
            is_ready = task._next_send_fn is not None
            if is_ready and task not in withheld and _host_of(task) == host:
                withheld[task] = _Interception(task)

    def resume(self, host: str) -> None:
        """The tasks of ``host`` go on, those that are ready in the next batch.

        No change if it is not paused.
        """
        withheld = self._withheld.pop(host, {})
        if not self._withheld:
            # Back to deque's own append: while no host is paused, pausing costs nothing.
            vars(self._queue).pop("append", None)
        for task, interception in withheld.items():
            if interception is None:
                self._queue.append(task)
            elif interception.undo():
                self._queue.append(task)
                # It was counted with the batch it has left, and will be again.
                self._queue.steps -= 1

    def _append_unless_withheld(self, task: Task) -> None:
        """What `_RunQueue.append` is while a host is paused."""
        host = _host_of(task)
        withheld = None if host is None else self._withheld.get(host)
        if withheld is None:
            deque.append(self._queue, task)
        else:
            withheld[task] = None

    def _resume_all(self) -> None:
        for host in list(self._withheld):
            self.resume(host)

    async def _main(self, main: Callable[[Scheduler], Awaitable[T]]) -> T:
        """The main task: ``main``, with this scheduler in charge of the run."""
        self._take_charge()
        try:
            with self._main_scope:
                return await main(self)
        finally:
            self._resume_all()
            if self._stuck is not None:
                raise self._stuck
        raise AssertionError("only when stuck is the scope of main cancelled")

    def _take_charge(self) -> None:
        runner = _run.GLOBAL_RUN_CONTEXT.runner
        assert not runner.deadlines._heap, "a deadline was set before main began"
        runner.deadlines = _OrderedDeadlines()
        self._queue.extend(runner.runq)
        runner.runq = self._queue
        vars(self._clock)["_autojump"] = self._jump
        # It stands still but for jumps: the real clock need not be asked at each reading.
        vars(self._clock)["current_time"] = partial(getattr, self._clock, "_virtual_base")
        seldom_asked = _SeldomAsked(runner.io_manager, self._jump_if_idle)
        runner.io_manager = seldom_asked  # type: ignore[assignment]  # It passes on the rest.

    def _jump(self) -> None:
        """Nothing can happen now. Called by trio's loop."""
        if not self._jump_if_idle():
            self._get_unstuck()

    def _jump_if_idle(self) -> bool:
        """When no task is ready, on to the next deadline; False if there is none.

        Called at each turn of trio's loop, which by itself would jump one turn later.
        """
        runner = _run.GLOBAL_RUN_CONTEXT.runner
        if self._queue or runner.waiting_for_idle:
            return True
        deadline = runner.deadlines.next_deadline()
        if deadline == inf:
            return False
        self._clock.jump(max(0.0, deadline - self._clock.current_time()))
        return True

    def _get_unstuck(self) -> None:
        """No task is ready and no deadline is set: see to it that the run ends.

        When a withheld task is cancelled from outside its host, somebody waits for its end, and
        nobody is left who could resume it: that is a run being torn down, not one that is stuck.
        """
        is_torn_down = any(
            _is_cancelled_from_outside(task, host)
            for host, withheld in self._withheld.items()
            for task in withheld
        )
        if is_torn_down:
            self._resume_all()
        elif self._stuck is None:
            self._stuck = self._as_stuck()
            self._main_scope.cancel("stuck: no task can ever take a step again")
        elif not self._are_shields_open:
            self._are_shields_open = True
            _open_shields()
        else:
            # Some task refuses to be cancelled. Trio lets go of all tasks, unfinished.
            raise self._stuck

    def _as_stuck(self) -> Stuck:
        return Stuck(
            # The names of trio's own tasks are in angle brackets.
            waiting=tuple(task.name for task in _all_tasks() if not task.name.startswith("<")),
            paused=tuple(sorted(self._withheld)),
            at_s=self._clock.current_time(),
        )


class IOManager(Protocol):
    """What of trio's I/O manager is used here; its class depends on the platform."""

    def get_events(self, timeout: float) -> Any:
        """What has happened outside within ``timeout`` seconds."""
        ...

    def process_events(self, events: Any) -> None:
        """Wake those who wait for ``events``."""
        ...


class _SeldomAsked:
    """Trio's I/O manager, with which the kernel is asked at few turns of the loop only.

    There are no sockets in virtual time. What the kernel may still have to say is that Ctrl-C
    was pressed, or that a thread has come back: that can wait for some turns, or until nothing
    else can happen.
    """

    def __init__(self, manager: IOManager, prepare: Callable[[], bool]) -> None:
        self._manager = manager
        self._prepare = prepare
        self._turns = 0
        self.process_events = manager.process_events

    def get_events(self, timeout: float) -> Any:
        """What has happened outside, if it is time to ask."""
        self._turns += 1
        if self._prepare() and self._turns % TURNS_UNASKED:
            return []
        return self._manager.get_events(timeout)

    def __getattr__(self, name: str) -> object:
        return getattr(self._manager, name)


class _RunQueue(deque[Task]):
    """The tasks that are ready. Trio's loop, which alone iterates over it, gets the seeded order.

    Nothing else of deque is overridden, because trio asks for the length and appends at every
    step; while a host is paused, the scheduler puts another ``append`` over this one's.
    """

    def __init__(self, generator: random.Random) -> None:
        super().__init__()
        self._draw = generator.random
        self.batch: list[Task] = []
        """The batch whose turn it is, or was last."""
        self.steps = 0

    def __iter__(self) -> Iterator[Task]:
        batch = list(_IN_QUEUE(self))
        if len(batch) > 1:
            draw = self._draw
            batch.sort(key=_SPAWNED)
            # Not `shuffle`: what it draws may differ between Pythons, `random` does not.
            batch.sort(key=lambda _: draw())
        self.batch = batch
        self.steps += len(batch)
        return iter(batch)

    def take_all(self) -> list[Task]:
        """Empty the queue, and return what was in it."""
        tasks = list(_IN_QUEUE(self))
        self.clear()
        return tasks


class _Interception:
    """Stands in for the step of a task that was in the batch when its host was paused.

    Trio has the batch in a local variable, so the task cannot be taken out of it. Instead, what
    trio calls in place of a step puts what the step would be given aside, and tells trio that the
    task waits. A cancellation is left to the task's next checkpoint, as with every ready task.
    """

    __slots__ = ("_send", "_step", "_task", "_was_called")

    def __init__(self, task: Task) -> None:
        self._task = task
        self._step = task._next_send_fn
        self._send: object = None
        self._was_called = False
        task._next_send_fn = self

    def __call__(self, send: object) -> WaitTaskRescheduled:
        self._was_called = True
        self._send = send
        return WaitTaskRescheduled(lambda _: Abort.FAILED)

    def undo(self) -> bool:
        """Give the task its step back; return whether it has left the batch."""
        task = self._task
        task._next_send_fn = self._step
        if self._was_called:
            task._next_send = self._send  # type: ignore[assignment]  # as it was given to us
            task._abort_func = None
        return self._was_called


class _OrderedDeadlines(_run.Deadlines):
    """Deadlines of which equal ones pass in the order they were set, not of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._ties = count()

    def add(self, deadline: float, cancel_scope: trio.CancelScope) -> None:
        heappush(self._heap, (deadline, next(self._ties), cancel_scope))
        self._active += 1


class _NeverReverses(random.Random):
    """In place of trio's own generator, with which it decides whether to reverse a batch."""

    def random(self) -> float:
        return 0.75


@dataclass(frozen=True, slots=True)
class _Belonging:
    """Which host the tasks belong to that have this in their context, all but the opener."""

    host: str
    # The number of the task that opened it; the task itself would be kept alive by it.
    opener: int
    outer: _Belonging | None


# Each task has its own value, in its context; a run leaves nothing in it.
_BELONGING: ContextVar[_Belonging | None] = ContextVar("belonging", default=None)

_SPAWNED = attrgetter("_counter")

# Cheaper than by way of `super`, once for each batch.
_IN_QUEUE = deque.__iter__


def _host_of(task: Task) -> str | None:
    belonging = task.context.get(_BELONGING)
    while belonging is not None and belonging.opener == task._counter:
        belonging = belonging.outer
    return None if belonging is None else belonging.host


def _is_cancelled_from_outside(task: Task, host: str) -> bool:
    """Whether the nursery in which another than ``host`` spawned this task's line is cancelled."""
    nursery = task.parent_nursery
    while nursery is not None and _host_of(nursery.parent_task) == host:
        nursery = nursery.parent_task.parent_nursery
    return nursery is not None and nursery._cancel_status.effectively_cancelled


def _all_tasks() -> list[Task]:
    return sorted(_run.GLOBAL_RUN_CONTEXT.runner.tasks, key=_SPAWNED)


def _open_shields() -> None:
    """Let the cancellation of main through to every task."""
    for task in _all_tasks():
        status: _run.CancelStatus | None = task._cancel_status
        while status is not None:
            if status._scope.shield:
                status._scope.shield = False
            status = status.parent


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Have another value under this name of a module meanwhile."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
