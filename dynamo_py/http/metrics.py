"""A node's figures as Prometheus metrics. Read when they are asked for, kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "dynamo_"


class NodeCollector(Collector):
    """Hands a node's figures to Prometheus; a name that ends in ``_total`` is a counter."""

    def __init__(self, figures: Callable[[], dict[str, float]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """One metric a figure."""
        for name, value in sorted(self._figures().items()):
            documentation = name.replace("_", " ")
            if name.endswith("_total"):
                yield CounterMetricFamily(PREFIX + name, documentation, value=value)
            else:
                yield GaugeMetricFamily(PREFIX + name, documentation, value=value)
