from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import trio
import trio.testing

import gossip


def test_the_example_of_the_readme_runs_and_says_what_it_should(monkeypatch, capsys):
    readme = (Path(gossip.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = readme.split("```python\n")[1].split("```")[0]
    clock = trio.testing.MockClock(autojump_threshold=0)
    monkeypatch.setattr(trio, "run", functools.partial(trio.run, clock=clock))
    exec(compile(example, "README.md", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out.splitlines()
    assert "ada sees cleo LEFT" in printed
    assert "ada hears ben's load is 3" in printed
    assert printed[-2:] == ["ada sees ben SUSPECT", "ada sees ben DOWN"]


def test_the_example_needs_nothing_of_the_store():
    readme = (Path(gossip.__file__).parent / "README.md").read_text(encoding="utf-8")
    imports = readme.split("```python\n")[1].split("agents:")[0]
    check = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}\n{check}"], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"gossip", "trio", "msgspec"} <= loaded
    assert not loaded & {"dynamo_py", "ring", "studies"}
