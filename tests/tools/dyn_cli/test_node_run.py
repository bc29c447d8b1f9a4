"""`node run`: its configuration, from a file and from options."""

from __future__ import annotations

import click
import pytest

from dyn_cli.main import run
from dyn_cli.node_run import config_of
from dynamo_py.errors import WrongState


def test_every_setting_can_be_given_as_an_option(monkeypatch):
    started = []
    monkeypatch.setattr("dynamo_py.process.run", started.append)
    options = (
        "--name n1 --data d --listen h:1 --peer-listen h:2 --http h:3 --seed a:1 --seed b:2"
        " --cluster c --zone z --weight 2 --partitions 64 --replicas 2 --durability interval"
        " --exchange-interval 2.5 --forget-after 90"
    )
    assert run(["node", "run", *options.split()]) == 0
    (config,) = started
    assert (config.name, config.data_dir) == ("n1", "d")
    assert (config.listen, config.peer_listen, config.http_listen) == ("h:1", "h:2", "h:3")
    assert config.seeds == ("a:1", "b:2")
    assert (config.cluster, config.zone, config.weight) == ("c", "z", 2)
    assert (config.partitions, config.replicas, config.durability) == (64, 2, "interval")
    assert config.exchange_interval_s == 2.5
    assert config.forget_after_s == 90.0


def test_options_win_over_the_file(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text('name = "n1"\ndata_dir = "d"\nweight = 3\n[server]\nclient_requests_max = 7\n')
    config = config_of(file, {"name": "n2", "weight": None, "seeds": ()})
    assert (config.name, config.weight, config.seeds) == ("n2", 3, ())
    assert config.server.client_requests_max == 7


@pytest.mark.parametrize(
    "text",
    ["x=", "x=1", 'weight = "heavy"', "partitions = 63", "\x00", 'name = ""'],
)
def test_a_wrong_file_is_a_usage_error(tmp_path, text):
    file = tmp_path / "node.toml"
    file.write_text(text)
    with pytest.raises(click.UsageError):
        config_of(file, {"name": "n1" if "name" not in text else None, "data_dir": "d"})


def test_a_node_that_cannot_start_is_one_line_and_status_5(monkeypatch, capsys):
    def refuse(config):
        raise WrongState("cannot listen on h:1: address already in use")

    monkeypatch.setattr("dynamo_py.process.run", refuse)
    assert run(["node", "run", "--name", "n", "--data", "d"]) == 5
    assert capsys.readouterr().err == "dyn-cli: cannot listen on h:1: address already in use\n"
