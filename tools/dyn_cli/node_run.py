"""`node run`: one node in the foreground, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dyn_cli.failures import Status
from dyn_cli.options import ADDRESS, Group, Settings, pass_settings

if TYPE_CHECKING:
    from dynamo_py.config import NodeConfig


LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.group("node", cls=Group)
def node_commands() -> None:
    """One node, in this process."""


@node_commands.command("run")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings as TOML, by the names of NodeConfig; options given beside it win.",
)
@click.option("--name", help="The node's name, unique in its cluster.")
@click.option("--data", "data_dir", help="The directory that belongs to this node alone.")
@click.option("--listen", type=ADDRESS, help="Where clients connect.")
@click.option("--peer-listen", type=ADDRESS, help="Where other nodes connect.")
@click.option("--http", "http_listen", type=ADDRESS, help="Where health and metrics are served.")
@click.option(
    "--seed",
    "seeds",
    type=ADDRESS,
    multiple=True,
    help="The peer address of a node of the cluster to join; may be given several times."
    " Without any the node founds a cluster.",
)
@click.option(
    "--stage",
    is_flag=True,
    default=None,
    help="With --seed: wait, without tokens, until `cluster join` or `commit` lets it in.",
)
@click.option("--cluster", help="The cluster's name.")
@click.option("--zone", help="Nodes of one zone tend to fail together.")
@click.option("--weight", type=int, help="The share of tokens, beside the other nodes' weights.")
@click.option("--partitions", type=int, help="Q, a power of two; fixed by the founder.")
@click.option("--replicas", type=int, help="N, how many nodes hold a key; fixed by the founder.")
@click.option(
    "--durability",
    type=click.Choice(["commit", "interval", "none"]),
    help="When a write is on disk.",
)
@click.option(
    "--exchange-interval",
    "exchange_interval_s",
    type=float,
    help="Seconds until equal copies are compared again.",
)
@click.option(
    "--forget-after",
    "forget_after_s",
    type=float,
    help="Seconds that a tombstone is kept at least.",
)
@click.option("--hint-bytes", type=int, help="How many bytes of hints to keep for other nodes.")
@pass_settings
def run(settings: Settings, /, config_file: Path | None, **given: Any) -> Status:
    """Run one node in the foreground. SIGTERM lets it finish what is under way."""
    del settings
    config = config_of(config_file, given)
    from dynamo_py import process

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    process.run(config)
    return Status.DONE


def config_of(config_file: Path | None, given: dict[str, Any]) -> NodeConfig:
    """The node's configuration; wrong settings are a usage error."""
    from dynamo_py.config import config_from_mapping
    from dynamo_py.errors import InvalidRequest

    fields = {} if config_file is None else read_toml(config_file)
    fields |= {name: value for name, value in given.items() if value not in (None, ())}
    for name, option in (("name", "--name"), ("data_dir", "--data")):
        if not fields.get(name):
            raise click.UsageError(f"missing {option}", click.get_current_context(silent=True))
    try:
        return config_from_mapping(fields)
    except InvalidRequest as error:
        raise click.UsageError(error.message, click.get_current_context(silent=True)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a file; what is no TOML is a usage error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path}: {error}", click.get_current_context(silent=True)) from None
