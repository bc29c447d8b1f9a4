"""A whole command line: what goes to stdout, what to stderr, and the exit status."""

from __future__ import annotations

import json

import click
import pytest

from dyn_cli import main
from dyn_cli.failures import OutputClosed, Refused
from dyn_cli.main import run


@pytest.fixture
def boom(monkeypatch):
    """Make the command ``cluster status`` raise what is given."""

    def arm(error: BaseException) -> None:
        def raise_it(*arguments, **named):
            raise error

        monkeypatch.setattr("dyn_cli.cluster.with_store", raise_it)

    return arm


def test_a_failure_is_one_line_on_stderr(boom, capsys):
    boom(Refused("not now"))
    assert run(["cluster", "status"]) == 5
    assert capsys.readouterr() == ("", "dyn-cli: not now\n")


@pytest.mark.parametrize(
    "arguments", [["--json", "cluster", "status"], ["cluster", "status", "--json"]]
)
def test_with_json_a_failure_is_one_document_on_stdout(boom, capsys, arguments):
    boom(Refused("not now"))
    assert run(arguments) == 5
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": {"type": "WrongState", "message": "not now"}}
    assert shown.err == ""


def test_a_bug_of_ours_is_one_line_without_a_traceback(boom, capsys, monkeypatch):
    monkeypatch.delenv("DYN_DEBUG", raising=False)
    boom(KeyError("x"))
    assert run(["cluster", "status"]) == 70
    assert capsys.readouterr().err.count("\n") == 1


def test_dyn_debug_shows_where_a_bug_was(boom, capsys, monkeypatch):
    monkeypatch.setenv("DYN_DEBUG", "1")
    boom(KeyError("x"))
    assert run(["cluster", "status"]) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("tasks", [KeyboardInterrupt(), ValueError()])],
)
def test_an_interruption_is_130_wherever_it_comes_out(boom, capsys, error):
    boom(error)
    assert run(["cluster", "status"]) == 130


def test_an_error_alone_in_a_group_counts_as_itself(boom, capsys):
    boom(ExceptionGroup("tasks", [Refused("not now")]))
    assert run(["cluster", "status"]) == 5


def test_an_output_that_nobody_reads_ends_the_command_without_a_word(boom, capsys, monkeypatch):
    monkeypatch.setattr(main, "close_output", lambda: None)
    boom(OutputClosed())
    assert run(["cluster", "status"]) == 141
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["get"],
        ["get", "a", "--nope"],
        ["get", ""],
        ["get", "a", "--r", "0"],
        ["get", "a", "--r", "many"],
        ["get", "a", "--sibling", "0"],
        ["get", "a", "--bucket", ""],
        ["get", "a", "b"],
        ["get", "***", "--key-base64"],
        ["put"],
        ["put", "a", "v", "--context", "***"],
        ["put", "a", "v", "--context", ""],
        ["put", "a", "v", "--file", "/dev/null"],
        ["put", "a", "--file", "/does/not/exist"],
        ["put", "a", "v", "--ttl", "0"],
        ["scan", "--limit", "0"],
        ["cluster", "wait"],
        ["cluster", "wait", "--for", "rain"],
        ["dev", "start"],
        ["dev", "start", "x"],
        ["dev", "up", "--nodes", "0"],
        ["dev", "up", "--base-port", "65530"],
        ["dev", "up", "--partitions", "63"],
        ["dev", "up", "--replicas", "0"],
        ["node", "run"],
        ["node", "run", "--name", "n"],
        ["node", "run", "--name", "n", "--data", "d", "--listen", "nowhere"],
        ["node", "run", "--config", "/does/not/exist"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("dyn-cli: ")
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_command_line_with_json_is_a_document_all_the_same(capsys):
    assert run(["get", "a", "--nope", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"


def test_json_after_two_dashes_is_a_value(capsys):
    assert run(["get", "--nope", "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_without_a_command_the_help_is_shown_and_the_status_is_2(capsys):
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_help_and_version_succeed(capsys):
    assert run(["--help"]) == 0
    assert run(["put", "--help"]) == 0
    assert run(["--version"]) == 0
    assert "dyn-cli, version" in capsys.readouterr().out


def every_command(command: click.Command, path: tuple[str, ...] = ()):
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from every_command(below, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(every_command(main.cli)))
def test_every_command_has_help_and_the_common_options(path, command):
    assert command.help, path
    names = {option for param in command.params for option in param.opts}
    assert {"--node", "--json", "--timeout"} <= names, path
