"""The README's test of a user's application runs as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_test_against_a_simulated_cluster_passes() -> None:
    (block,) = [block for block in blocks("python") if "Simulation" in block]
    names: dict[str, object] = {}
    exec(compile(block, str(README), "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    for test in tests:
        assert callable(test)
        test()


def test_its_claim_can_fail() -> None:
    (block,) = [block for block in blocks("python") if "Simulation" in block]
    names: dict[str, object] = {}
    exec(compile(block.replace('"apples, pears"\n', '"plums"\n'), str(README), "exec"), names)
    test = names["test_a_cart_survives_a_split_and_a_crash"]
    assert callable(test)
    with pytest.raises(AssertionError):
        test()
