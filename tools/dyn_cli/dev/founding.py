"""Makes a dev cluster in a directory, or finds the one that is there.

What is asked for is checked before anything is written; a directory that has a cluster keeps
it, and is refused where something else is asked for.
"""

from __future__ import annotations

from pathlib import Path

import click

from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.defaults import BASE_PORT, NODES, PARTITIONS, REPLICAS
from dyn_cli.dev.state import PORT_MAX, ClusterEntry, DevDirectory, last_port, new_cluster
from dyn_cli.failures import Refused
from dyn_cli.node_run import config_of


def open_or_make(
    path: Path,
    *,
    nodes: int | None,
    base_port: int | None,
    partitions: int | None,
    replicas: int | None,
) -> DevCluster:
    """The cluster of that directory; made if there is none. None stands for what is usual."""
    wanted = new_cluster(
        nodes=nodes or NODES,
        base_port=base_port or BASE_PORT,
        partitions=PARTITIONS if partitions is None else partitions,
        replicas=REPLICAS if replicas is None else replicas,
    )
    directory = DevDirectory(path)
    found = directory.load()
    if found is not None:
        said = {
            "nodes": (nodes, len(found.nodes), nodes),
            "base-port": (base_port, found.nodes[0].client, wanted.nodes[0].client),
            "partitions": (partitions, found.partitions, partitions),
            "replicas": (replicas, found.replicas, replicas),
        }
        for name, (given, has, asked) in said.items():
            if given is not None and has != asked:
                raise Refused(
                    f"{path} has a cluster already, with another --{name}: leave it out, or"
                    f" remove that cluster with dyn-cli dev down --purge --dir {path}"
                )
        return DevCluster(directory, found)
    return _made(directory, wanted, last_port(nodes or NODES, base_port or BASE_PORT))


def _made(directory: DevDirectory, wanted: ClusterEntry, highest_port: int) -> DevCluster:
    if highest_port > PORT_MAX:
        raise click.UsageError(
            f"--base-port: the last node would need port {highest_port}, and {PORT_MAX} is the"
            " highest",
            click.get_current_context(silent=True),
        )
    first = wanted.nodes[0]
    config_of(
        None,
        {
            "name": first.name,
            "data_dir": str(directory.data_of(first)),
            "partitions": wanted.partitions,
            "replicas": wanted.replicas,
        },
    )
    with directory.locked():
        directory.save(wanted)
    return DevCluster(directory, wanted)
