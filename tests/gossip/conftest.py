"""A cluster of pure cores in virtual time, as the fixture ``simulation``.

``simulation(seed=1, nodes=3)`` makes one. It is the one that the study of gossip measures with.
"""

from __future__ import annotations

import pytest

from studies.gossip_simulation import Simulation


@pytest.fixture
def simulation() -> type[Simulation]:
    return Simulation
