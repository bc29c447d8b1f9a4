"""Clusters of real processes for end-to-end tests, on ports that are free."""

from __future__ import annotations

import pytest

from bench.clusters import temporary_cluster


@pytest.fixture
async def cluster(tmp_path):
    """Three running nodes; stopped at the end."""
    async with temporary_cluster(parent=tmp_path) as running:
        yield running
