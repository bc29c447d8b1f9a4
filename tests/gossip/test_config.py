from __future__ import annotations

import dataclasses

import pytest

from gossip import GossipConfig, GossipError
from gossip.config import _RANGES


def test_every_setting_has_a_range():
    assert {name for name, _, _ in _RANGES} == {
        field.name for field in dataclasses.fields(GossipConfig)
    }


@pytest.mark.parametrize(
    "bad",
    [{"period_s": 0.0}, {"helpers": -1}, {"gossip_fanout": 0}, {"retransmit_factor": 11.0}],
)
def test_a_setting_out_of_its_range_is_refused_by_name(bad):
    with pytest.raises(GossipError, match=next(iter(bad))):
        GossipConfig(**bad)


def test_helpers_must_have_time_to_answer():
    with pytest.raises(GossipError, match="half of period_s"):
        GossipConfig(period_s=0.5, ack_timeout_s=0.3)
