"""What a dev cluster is like unless something else is asked for. Imports nothing."""

from __future__ import annotations

NODES = 3
BASE_PORT = 7700
PARTITIONS = 64
REPLICAS = 3
