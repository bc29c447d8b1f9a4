"""The demo, whole: three real nodes, and none of them left behind."""

from __future__ import annotations

import subprocess
import sys

from shopping_cart.demo_cluster import PORT_STEP, PORTS_PER_NODE, DemoCluster, free_base_port


def test_the_demo_tells_its_story_and_succeeds(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "shopping_cart.demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "sibling 2" in done.stdout
    assert "Every item is there, and what was removed stays away." in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_free_ports_are_looked_for_from_a_place_of_ones_own(tmp_path):
    base = free_base_port(10**9)
    assert 20_000 <= base <= 32_000
    addresses = DemoCluster(tmp_path, base).addresses
    assert addresses[1] == f"127.0.0.1:{base + PORT_STEP}"
    assert PORTS_PER_NODE < PORT_STEP
