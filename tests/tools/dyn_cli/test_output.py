"""What is printed."""

from __future__ import annotations

import pytest

from dyn_cli.failures import OutputClosed
from dyn_cli.output import print_json, print_table, print_text, shown


def test_bytes_are_text_where_they_are_utf_8_and_base64_elsewhere():
    assert shown("Käse".encode()) == "Käse"
    assert shown(b"") == ""
    assert shown(b"a\xff") == {"base64": "Yf8="}


def test_a_document_is_one_line_of_utf_8(capsysbinary):
    print_json({"key": "Käse", "lines": "a\nb"})
    assert capsysbinary.readouterr().out == '{"key": "Käse", "lines": "a\\nb"}\n'.encode()


def test_text_may_hold_what_the_shell_passed_on(capsysbinary):
    print_text("a\udcff")
    assert capsysbinary.readouterr().out == b"a\xff\n"


def test_a_table_is_aligned_and_nothing_is_cut_off(capsys):
    long = "x" * 300
    print_table(("name", "what"), [("n1", None), ("n22", long), ("[n3]", 7)])
    assert capsys.readouterr().out.splitlines() == [
        "name  what",
        "n1",
        f"n22   {long}",
        "[n3]  7",
    ]


def test_an_output_that_nobody_reads_is_told_apart(monkeypatch):
    class Gone:
        def write(self, data):
            raise BrokenPipeError

    class Stdout:
        buffer = Gone()

    monkeypatch.setattr("sys.stdout", Stdout())
    with pytest.raises(OutputClosed):
        print_text("hello")
