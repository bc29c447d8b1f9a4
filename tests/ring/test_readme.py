"""The example in the package's README runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

import ring


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(ring.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["primaries", "fallbacks"]
    assert lines[2].endswith("of 256 tokens move")
