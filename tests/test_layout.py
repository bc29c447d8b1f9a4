"""The rules of the tree that neither ruff nor import-linter can say.

Each rule is a generator of findings, `path:line: what`, over the parsed modules; each test
wants none, and shows all of them when there are some.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("dynamo_py", "ring", "gossip")
SHIPPED = (*LIBRARY, "tools/dyn_cli", "tools/shopping_cart")
EVERYTHING = (*LIBRARY, "tools", "tests")

MODULE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60

# The only module that may ask this machine for the time or for randomness; all others are
# given a clock and a generator, so that the simulator can give them its own.
WORLD = "dynamo_py/net/world.py"

# The public face of dynamo_py, above every floor.
FACE = "dynamo_py/__init__.py"

# What may be used of a module of which nothing else may be used. `random.Random` is a
# generator that the caller has seeded; the functions of `random` share a hidden one.
ALLOWED_OF_MODULE: dict[str, frozenset[str]] = {
    "random": frozenset({"Random"}),
    "secrets": frozenset(),
    "time": frozenset({"struct_time", "strftime", "gmtime"}),
}
FORBIDDEN_NAMES = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "os.getrandom",
        "os.urandom",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)


@dataclass(frozen=True)
class Module:
    """A parsed file of the tree."""

    path: str
    source: str
    tree: ast.Module

    def at(self, node: ast.AST, what: str) -> str:
        """A finding in this module."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def modules(*folders: str) -> Iterator[Module]:
    """Every Python file below these folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            yield Module(str(path.relative_to(ROOT)), source, ast.parse(source))


def imported_names(tree: ast.Module) -> dict[str, str]:
    """What each name bound by an import stands for, in full: ``{"now": "time.time"}``."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str | None:
    """``datetime.datetime.now`` for an expression that means it, through any import."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, names)
        return None if owner is None else f"{owner}.{node.attr}"
    return None


def is_hidden_input(name: str) -> bool:
    """Whether this name brings in a clock or randomness that nobody passed."""
    module, _, rest = name.partition(".")
    if module in ALLOWED_OF_MODULE and rest:
        return rest.split(".")[0] not in ALLOWED_OF_MODULE[module]
    return name in FORBIDDEN_NAMES


def hidden_inputs(module: Module) -> Iterator[str]:
    """Every use of this machine's clock or randomness."""
    for node, name in uses(module.tree, imported_names(module.tree)):
        if is_hidden_input(name):
            yield module.at(node, f"{name}: take a clock or a generator as an argument")


def uses(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[ast.AST, str]]:
    """Every use of an imported name below this node, with the name in full."""
    if isinstance(node, ast.Name | ast.Attribute):
        name = full_name(node, names)
        if name is not None:
            yield node, name
            return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        # A parameter hides the module of its name: `random: random.Random`.
        parameters = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        inner = {bound: name for bound, name in names.items() if bound not in parameters}
        for outside in (*node.decorator_list, node.args):
            yield from uses(outside, names)
        for statement in node.body:
            yield from uses(statement, inner)
        return
    for child in ast.iter_child_nodes(node):
        yield from uses(child, names)


def salted_hashes(module: Module) -> Iterator[str]:
    """Every call of the built-in `hash` outside a ``__hash__``: it differs from run to run."""
    own = {
        id(call)
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef) and function.name == "__hash__"
        for call in ast.walk(function)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and id(node) not in own and is_named(node.func, "hash"):
            yield module.at(node, "hash() is salted anew in each process: use ring.hashing")


def is_named(node: ast.expr, name: str) -> bool:
    """Whether the expression is this plain name."""
    return isinstance(node, ast.Name) and node.id == name


def face_imports(module: Module) -> Iterator[str]:
    """Every import of a name from the face of dynamo_py, rather than from its own module."""
    parts = {path.stem for path in (ROOT / "dynamo_py").iterdir()}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            faces = [alias.name for alias in node.names if alias.name == "dynamo_py"]
        elif isinstance(node, ast.ImportFrom) and node.module == "dynamo_py":
            faces = [alias.name for alias in node.names if alias.name not in parts]
        else:
            continue
        for name in faces:
            yield module.at(node, f"imports {name} from the face: import it where it is defined")


def long_functions(module: Module) -> Iterator[str]:
    """Every function longer than `FUNCTION_LINES_MAX`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                what = f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"
                yield module.at(node, what)


def listed(findings: list[str]) -> str:
    """The findings, one a line, for a failing test's message."""
    return "\n" + "\n".join(findings)


def test_the_clock_and_randomness_are_passed_in() -> None:
    found = [
        finding
        for module in modules(*LIBRARY)
        if module.path != WORLD
        for finding in hidden_inputs(module)
    ]
    assert not found, listed(found)


def test_nothing_depends_on_the_salted_hash() -> None:
    found = [finding for module in modules(*LIBRARY) for finding in salted_hashes(module)]
    assert not found, listed(found)


def test_every_module_says_what_it_is_for() -> None:
    found = [
        f"{module.path}: no docstring"
        for module in modules(*LIBRARY, "tools")
        if not ast.get_docstring(module.tree)
    ]
    assert not found, listed(found)


def test_no_module_is_longer_than_its_bound() -> None:
    found = [
        f"{module.path}: {lines} lines, at most {MODULE_LINES_MAX}"
        for module in modules(*EVERYTHING)
        if (lines := len(module.source.splitlines())) > MODULE_LINES_MAX
    ]
    assert not found, listed(found)


def test_no_function_is_longer_than_its_bound() -> None:
    found = [finding for module in modules(*LIBRARY, "tools") for finding in long_functions(module)]
    assert not found, listed(found)


def test_nothing_inside_imports_the_public_face() -> None:
    inside = [module for module in modules(*LIBRARY) if module.path != FACE]
    found = [finding for module in inside for finding in face_imports(module)]
    assert not found, listed(found)


def test_every_part_of_dynamo_py_has_its_floor() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    floors = " ".join(contracts[0]["layers"])
    placed = {word.strip("()") for word in floors.split()}
    parts = {
        f"dynamo_py.{path.stem}"
        for path in (ROOT / "dynamo_py").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"dynamo_py.__init__"} <= placed


@pytest.mark.parametrize("package", SHIPPED)
def test_a_shipped_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("import time\ntime.time()", True),
        ("from time import monotonic as now\nnow()", True),
        ("import random\nrandom.choice([1])", True),
        ("import random\nrandom.Random(1).choice([1])", False),
        ("import datetime\ndatetime.datetime.now()", True),
        ("from uuid import uuid4\nuuid4()", True),
        ("clock = object()\nclock.time()", False),
        ("import random\ndef draw(random: random.Random): random.choice([1])", False),
        ("import time\ndef wait(now=time.monotonic): ...", True),
    ],
)
def test_the_rule_on_hidden_inputs_sees_through_imports(source: str, is_found: bool) -> None:
    module = Module("example.py", source, ast.parse(source))
    assert bool(list(hidden_inputs(module))) is is_found
