"""`get`, `put`, `delete` and `scan` against a store that is played."""

from __future__ import annotations

import base64
import io
import json

import pytest
import trio

from dyn_cli.main import run
from dynamo_py.client.results import Context, Fetched, Hinted, Sibling, Stored

CONTEXT = Context(b"\xfb\xff?")
CONTEXT_TEXT = "-_8_"


class PlayedBucket:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.name = ""
        self.codec: str | None = None
        self.asked: list[tuple] = []
        self.found = fetched()
        self.done = Stored(CONTEXT, ("n1", "n2"), (), False, 1, 2)
        self.keys: list[str | bytes] = []

    async def get(self, key, **named):
        self.asked.append(("get", key, named))
        return self.found

    async def put(self, key, value, **named):
        self.asked.append(("put", key, value, named))
        return self.done

    async def delete(self, key, **named):
        self.asked.append(("delete", key, named))
        return self.done

    def scan(self, **named):
        self.asked.append(("scan", named))
        return PlayedScan(self.keys)


class PlayedScan:
    def __init__(self, keys):
        self._keys = list(keys)
        self._next = 0

    @property
    def cursor(self):
        return None if self._next == len(self._keys) else f"c{self._next}"

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.cursor is None:
            raise StopAsyncIteration
        self._next += 1
        return self._keys[self._next - 1]


def fetched(*values: bytes, degraded: bool = False) -> Fetched:
    siblings = tuple(Sibling(v, 1_700_000_000.0 + i, f"a.1:{i}") for i, v in enumerate(values))
    return Fetched("k", siblings, CONTEXT, degraded, ("n1", "n2"), 2)


@pytest.fixture
def bucket(monkeypatch):
    played = PlayedBucket()

    class Store:
        def bucket(self, name, *, codec=None):
            played.name, played.codec = name, codec
            return played

    def with_store(settings, work, *, timeout_s):
        return trio.run(work, Store())

    monkeypatch.setattr("dyn_cli.keys.with_store", with_store)
    monkeypatch.setattr("dyn_cli.scan.with_store", with_store)
    return played


# --- get ------------------------------------------------------------------------------------


def test_get_writes_the_raw_bytes_and_nothing_else(bucket, capsysbinary):
    bucket.found = fetched(b"a\x00\xff")
    assert run(["get", "k"]) == 0
    assert capsysbinary.readouterr() == (b"a\x00\xff", b"")


@pytest.mark.parametrize("command", [["get", "k"], ["put", "k", "v"], ["delete", "k"]])
def test_values_are_bytes_whatever_codec_the_bucket_has(bucket, command):
    assert run([*command, "--json"]) in (0, 1)
    assert bucket.codec == "raw"


def test_get_of_a_missing_key_is_status_1(bucket, capsys):
    assert run(["get", "k"]) == 1
    assert capsys.readouterr() == ("", "dyn-cli: key not found\n")


def test_get_lists_siblings_on_stderr_and_is_status_1(bucket, capsys):
    bucket.found = fetched(b"one", b"two" * 100)
    assert run(["get", "k"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1  2023-11-14T22:13:20.000+00:00  3 bytes  'one'" in shown.err
    assert "300 bytes" in shown.err
    assert f"--context {CONTEXT_TEXT}" in shown.err


def test_get_sibling_writes_the_one_that_was_picked(bucket, capsysbinary):
    bucket.found = fetched(b"one", b"two")
    assert run(["get", "k", "--sibling", "2"]) == 0
    assert capsysbinary.readouterr().out == b"two"


def test_get_of_a_sibling_that_is_not_there_is_status_1(bucket, capsys):
    bucket.found = fetched(b"one", b"two")
    assert run(["get", "k", "--sibling", "3"]) == 1
    assert "there is no sibling 3" in capsys.readouterr().err


def test_get_json_is_the_document_of_the_contract(bucket, capsys):
    bucket.found = fetched(b"one", b"\xff", degraded=True)
    assert run(["get", "k", "--json", "--bucket", "b"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bucket": "b",
        "key": "k",
        "exists": True,
        "values": ["one", {"base64": "/w=="}],
        "context": CONTEXT_TEXT,
        "degraded": True,
        "replied": ["n1", "n2"],
    }


def test_get_json_of_a_missing_key_is_a_document_and_status_1(bucket, capsys):
    assert run(["get", "k", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["exists"], found["values"]) == (False, [])


def test_get_says_so_when_it_is_degraded(bucket, capsys):
    bucket.found = fetched(b"one", degraded=True)
    assert run(["get", "k"]) == 0
    assert "degraded" in capsys.readouterr().err


def test_get_passes_its_options_on(bucket):
    run(["get", "k", "--r", "2", "--pr", "all", "--from", "n2", "--timeout", "9"])
    named = {"r": 2, "pr": "all", "node": "n2", "timeout": 9.0}
    assert bucket.asked == [("get", b"k", named)]
    assert bucket.name == "default"


def test_one_key_has_5_seconds_unless_said_otherwise(bucket):
    run(["get", "k"])
    assert bucket.asked[0][2]["timeout"] == 5


@pytest.mark.parametrize("text", ["-_8=", "-_8", "+/8=", "+/8"])
def test_a_key_may_be_given_as_base64_of_either_alphabet(bucket, text):
    run(["get", "--key-base64", "--", text])
    run(["get", "--key-base64", "--json", "--", text])
    assert [asked[1] for asked in bucket.asked] == [b"\xfb\xff", b"\xfb\xff"]


def test_a_key_is_whatever_bytes_the_shell_passed_on(bucket):
    run(["get", "\udcff"])
    assert bucket.asked[0][1] == b"\xff"


# --- put ------------------------------------------------------------------------------------


def test_put_takes_its_value_from_the_command_line(bucket, capsys):
    assert run(["put", "k", "Käse"]) == 0
    assert bucket.asked[0][:3] == ("put", b"k", "Käse".encode())
    assert capsys.readouterr() == ("stored on n1, n2\n", "")


def test_an_empty_value_is_a_value(bucket):
    run(["put", "k", ""])
    assert bucket.asked[0][2] == b""


def test_put_takes_its_value_from_a_file(bucket, tmp_path):
    (tmp_path / "v").write_bytes(b"\x00\xff")
    assert run(["put", "k", "--file", str(tmp_path / "v")]) == 0
    assert bucket.asked[0][2] == b"\x00\xff"


def test_put_takes_its_value_from_stdin(bucket, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\x00\xff")))
    assert run(["put", "k"]) == 0
    assert bucket.asked[0][2] == b"\x00\xff"


def test_put_passes_its_options_on(bucket):
    options = "--context -_8_ --w 3 --dw quorum --pw 1 --if-absent --ttl 1.5"
    assert run(["put", "k", "v", *options.split()]) == 0
    assert bucket.asked[0][3] == {
        "context": CONTEXT.to_bytes(),
        "w": 3,
        "dw": "quorum",
        "pw": 1,
        "if_absent": True,
        "ttl": 1.5,
        "timeout": 5.0,
    }


def test_put_json_is_the_document_of_the_contract(bucket, capsys):
    bucket.done = Stored(CONTEXT, ("n1", "n4"), (Hinted("n4", "n2"),), True, 1, 1)
    assert run(["--json", "put", "k", "v"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "context": CONTEXT_TEXT,
        "acked": ["n1", "n4"],
        "hinted": [{"holder": "n4", "for": "n2"}],
        "degraded": True,
    }


def test_put_says_who_stood_in_and_that_there_are_siblings(bucket, capsys):
    bucket.done = Stored(CONTEXT, ("n1", "n4"), (Hinted("n4", "n2"),), True, 2, 1)
    assert run(["put", "k", "v"]) == 0
    said = capsys.readouterr().err
    assert "n4 keeps it for n2" in said
    assert "degraded" in said
    assert "2 siblings" in said


def test_the_context_that_get_shows_is_what_put_takes(bucket, capsys):
    bucket.found = fetched(b"one")
    run(["get", "k", "--json"])
    text = json.loads(capsys.readouterr().out)["context"]
    run(["put", "k", "two", "--context", text])
    assert bucket.asked[-1][3]["context"] == base64.urlsafe_b64decode(text)


# --- delete and scan ------------------------------------------------------------------------


def test_delete_passes_its_options_on(bucket, capsys):
    assert run(["delete", "k", "--context", CONTEXT_TEXT, "--w", "all"]) == 0
    named = {"context": CONTEXT.to_bytes(), "w": "all", "dw": None, "pw": None, "timeout": 5.0}
    assert bucket.asked == [("delete", b"k", named)]
    assert capsys.readouterr().out == "deleted on n1, n2\n"


def test_deleting_a_missing_key_is_no_error(bucket, capsys):
    bucket.done = Stored(CONTEXT, (), (), False, 0, 0)
    assert run(["delete", "k"]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"


def test_scan_prints_a_key_a_line(bucket, capsysbinary):
    bucket.keys = ["a", b"\xff", "b"]
    assert run(["scan", "--prefix", "p", "--cursor", "c"]) == 0
    assert capsysbinary.readouterr() == (b"a\n\xff\nb\n", b"")
    assert bucket.asked == [("scan", {"prefix": b"p", "cursor": "c", "timeout": 5.0})]


def test_scan_stops_at_the_limit_and_says_how_to_go_on(bucket, capsys):
    bucket.keys = ["a", "b", "c"]
    assert run(["scan", "--limit", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "a\nb\n"
    assert "--cursor c2" in shown.err


def test_scan_is_silent_where_the_limit_was_the_end(bucket, capsys):
    bucket.keys = ["a", "b"]
    assert run(["scan", "--limit", "2"]) == 0
    assert capsys.readouterr().err == ""


def test_scan_json_is_a_document_a_line_with_a_cursor(bucket, capsys):
    bucket.keys = ["a", b"\xff"]
    assert run(["scan", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"bucket": "default", "key": "a", "cursor": "c1"},
        {"bucket": "default", "key": {"base64": "/w=="}, "cursor": None},
    ]
