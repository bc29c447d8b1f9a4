"""The wheel, installed where nothing else is, brings programs that start.

The environment is made without pip and without a network: the distributions that the wheel
says it needs, and theirs in turn, are copied from the environment that runs the tests, file by
file as their records list them. Whatever the wheel forgets to require is therefore missing,
and whatever it forgets to ship too: no path leads back to this tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {"dynamo_py", "ring", "gossip", "dyn_cli", "shopping_cart"}
COMMAND_TIMEOUT_S = 60


def run(*command: str | Path, cwd: Path) -> str:
    """What the command prints; fails the test with all of its output when it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def needed_by(requirements: list[str], extras: set[str]) -> Iterator[Requirement]:
    """The requirements that hold on this machine with these extras."""
    for text in requirements:
        requirement = Requirement(text)
        contexts = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, contexts)):
            yield requirement


def closure(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions that these requirements lead to, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    visited: set[tuple[str, frozenset[str]]] = set()
    waiting = list(needed_by(requirements, set()))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        visit = (name, frozenset(requirement.extras))
        if visit in visited:
            continue
        visited.add(visit)
        found[name] = metadata.distribution(name)
        waiting += needed_by(found[name].requires or [], requirement.extras)
    return found


def copy_distribution(distribution: metadata.Distribution, site_packages: Path) -> None:
    """Copy what the distribution's record lists; its scripts, outside, are left out."""
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and what it requires."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    site_packages = Path(run(python, "-c", where, cwd=home))
    (information,) = metadata.distributions(path=[str(wheel)])
    for distribution in closure(information.requires or []).values():
        copy_distribution(distribution, site_packages)
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    run(*pip, "check", cwd=home)
    return home / "bin"


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == SHIPPED
    assert {name for name in names if name.endswith("/py.typed")} == {
        f"{package}/py.typed" for package in SHIPPED
    }


def test_every_module_of_the_wheel_can_be_imported_from_it(programs: Path, tmp_path: Path) -> None:
    script = tmp_path / "import_all.py"
    script.write_text(
        "import importlib, pkgutil, sys\n"
        f"for top in {sorted(SHIPPED)}:\n"
        "    package = importlib.import_module(top)\n"
        "    assert package.__file__.startswith(sys.prefix), package.__file__\n"
        "    for found in pkgutil.walk_packages(package.__path__, top + '.'):\n"
        "        if not found.name.endswith('__main__'):\n"
        "            importlib.import_module(found.name)\n",
        encoding="utf-8",
    )
    run(programs / "python", "-W", "error", script, cwd=tmp_path)


def test_dyn_cli_of_the_wheel_tells_its_version(
    programs: Path, wheel: Path, tmp_path: Path
) -> None:
    version = wheel.name.split("-")[1]
    assert version in run(programs / "dyn-cli", "--version", cwd=tmp_path)


def test_the_shopping_cart_of_the_wheel_shows_its_help(programs: Path, tmp_path: Path) -> None:
    assert "Usage" in run(programs / "shopping-cart", "--help", cwd=tmp_path)
