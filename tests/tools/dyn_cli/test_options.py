"""The options of every command: before it, after it, and from the environment."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dyn_cli.options import DEFAULT_NODE, Command, Group, Settings, pass_settings


@click.group(cls=Group)
def program():
    """A program."""


@program.group("inner")
def inner():
    """A group in it."""


seen: list[Settings] = []


@inner.command("leaf")
@click.option("--nodes", type=int, help="An option of its own, of a similar name.")
@pass_settings
def leaf(settings, nodes):
    """A command."""
    seen.append(settings)


def settings_for(*arguments: str, nodes: str | None = None) -> Settings:
    seen.clear()
    done = CliRunner(env={"DYN_NODES": nodes}).invoke(program, arguments)
    assert done.exit_code == 0, done.output
    return seen.pop()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "--timeout", "2", "--node", "h:1", "inner", "leaf"),
        ("inner", "--json", "--timeout", "2", "--node", "h:1", "leaf"),
        ("inner", "leaf", "--json", "--timeout", "2", "--node", "h:1"),
        ("--json", "inner", "--timeout", "2", "leaf", "--node", "h:1"),
        ("--timeout", "9", "inner", "leaf", "--timeout", "2", "--json", "--node", "h:1"),
    ],
)
def test_common_options_may_stand_before_the_command_or_after_it(arguments):
    assert settings_for(*arguments) == Settings(("h:1",), True, 2.0)


def test_nodes_add_up_and_count_once():
    settings = settings_for("--node", "a:1", "inner", "leaf", "--node", "b:2", "--node", "a:1")
    assert settings.nodes == ("a:1", "b:2")


def test_dyn_nodes_stands_in_for_node():
    assert settings_for("inner", "leaf", nodes="a:1, b:2,").nodes == ("a:1", "b:2")


def test_node_wins_over_dyn_nodes():
    assert settings_for("inner", "leaf", "--node", "c:3", nodes="a:1").nodes == ("c:3",)


def test_without_either_the_first_dev_node_is_asked():
    assert settings_for("inner", "leaf") == Settings((DEFAULT_NODE,), False, None)


def test_an_option_of_a_command_does_not_mix_with_the_common_ones():
    assert settings_for("inner", "leaf", "--nodes", "3", nodes="a:1").nodes == ("a:1",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--node", "localhost"),
        ("--node", ":7700"),
        ("--node", "h:http"),
        ("--node", "h:65536"),
        ("--timeout", "0"),
        ("--timeout", "-1"),
        ("--timeout", "nan"),
        ("--timeout", "inf"),
        ("--timeout", "soon"),
    ],
)
def test_a_wrong_common_option_is_a_usage_error(arguments):
    done = CliRunner().invoke(program, ["inner", "leaf", *arguments])
    assert done.exit_code == 2
    assert "Invalid value" in done.output


def test_a_wrong_dyn_nodes_is_a_usage_error():
    done = CliRunner(env={"DYN_NODES": "a:1,b"}).invoke(program, ["inner", "leaf"])
    assert done.exit_code == 2
    assert "DYN_NODES: 'b' is not an address" in done.output


def test_help_lists_the_common_options_apart():
    shown = CliRunner().invoke(program, ["inner", "leaf", "--help"]).output
    own, common = shown.split("Options of all commands:")
    assert "--nodes" in own
    assert all(name in common for name in ("--node ", "--json", "--timeout"))


def test_commands_and_groups_below_a_group_take_the_common_options():
    assert isinstance(leaf, Command)
    assert isinstance(inner, Group)
