"""The contexts that were seen last: a bounded memory, held against a list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.contexts import Contexts

STEPS = st.lists(
    st.tuples(st.sampled_from(["get", "remember", "forget"]), st.integers(0, 6)), max_size=60
)


@given(st.integers(1, 4), STEPS)
def test_the_contexts_used_last_are_kept(bound, steps):
    contexts = Contexts(bound)
    model: list[tuple[int, bytes]] = []  # The one used last is the last.
    for step, (what, number) in enumerate(steps):
        known = dict(model).get(number)
        others = [pair for pair in model if pair[0] != number]
        match what:
            case "get":
                assert contexts.get(number) == known
                model = model if known is None else [*others, (number, known)]
            case "remember":
                contexts.remember(number, b"%d" % step)
                model = [*others, (number, b"%d" % step)][-bound:]
            case _:
                contexts.forget(number)
                model = others
        assert len(contexts) == len(model) <= bound
