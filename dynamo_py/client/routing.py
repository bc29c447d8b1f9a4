"""Which node to ask for a key: the client's core, without I/O.

Knows nothing of links: it is told what a ring looks like, which addresses have failed and how
long they take, and answers an order of addresses. The clock's time is passed in.

The order is that of the placement, so that each node coordinates for the keys of which it is
the first primary. Any primary can; so a slow one is passed over (`dynamo_py.net.latencies`).
"""

from __future__ import annotations

from dynamo_py.errors import ProtocolError
from dynamo_py.net.latencies import Latencies
from dynamo_py.wire.buckets import BucketProperties
from dynamo_py.wire.messages import Get, Message, Put, Ring
from ring import PreferenceLists, partition_of, position_of
from ring import Ring as Placed

NOTHING_SAID = BucketProperties()
AVOID_S = 2.0
"""How long an address that failed is asked last."""


class Routing:
    """One ring, as a client knows it. Immutable but for the cache of preference lists."""

    def __init__(self, told: Ring) -> None:
        self.digest = told.digest
        self.partitions = len(told.owners)
        self.replicas = told.replicas
        self.cluster = told.cluster
        self.buckets = {entry.bucket: entry.properties for entry in told.buckets}
        self._address = {n.node: n.client_address for n in told.nodes}
        self._down = {n.client_address for n in told.nodes if n.state == "down"}
        unknown = bytes(16)
        owners = tuple(
            told.nodes[i].node if 0 <= i < len(told.nodes) else unknown for i in told.owners
        )
        zones = {n.node: n.zone for n in told.nodes if n.zone}
        self._orders: dict[int, list[str]] = {}
        try:
            self._lists = PreferenceLists(Placed(owners, told.replicas, zones))
        except ValueError as error:
            raise ProtocolError(f"a ring that cannot be: {error}") from None

    @property
    def addresses(self) -> list[str]:
        """Where clients reach the nodes, each once."""
        return list(dict.fromkeys(a for a in self._address.values() if a))

    def partition_of(self, key: bytes) -> int:
        """The partition of a routing key."""
        return partition_of(position_of(key), self.partitions)

    @property
    def has_down(self) -> bool:
        """Whether some node is said to be down. It is asked last as long as this is the ring."""
        return bool(self._down)

    def is_down(self, address: str) -> bool:
        """Whether the node at ``address`` is said to be down."""
        return address in self._down

    def order(self, partition: int) -> list[str]:
        """The addresses for a partition: primaries, then fallbacks, those believed down last."""
        order = self._orders.get(partition)
        if order is None:
            found = self._lists.of_partition(partition)
            nodes = (*found.primaries, *found.fallbacks)
            addresses = [a for node in nodes if (a := self._address.get(node))]
            order = self._orders[partition] = sorted(addresses, key=self._down.__contains__)
        return order


class Router:
    """The present `Routing`, and what this client has itself seen fail."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._given = list(addresses)
        self._routing: Routing | None = None
        self._avoid_until: dict[str, float] = {}
        self._turn = 0
        self._gets: Latencies[str] = Latencies()
        self._puts: Latencies[str] = Latencies()

    @property
    def routing(self) -> Routing | None:
        """The ring, once one is known."""
        return self._routing

    @property
    def digest(self) -> int:
        """The digest of the ring by which requests are routed; 0 while none is known."""
        return 0 if self._routing is None else self._routing.digest

    @property
    def has_down(self) -> bool:
        """Whether the ring says so of some node."""
        return self._routing is not None and self._routing.has_down

    def properties_of(self, bucket: str) -> BucketProperties:
        """What the cluster says of a bucket."""
        known = {} if self._routing is None else self._routing.buckets
        return known.get(bucket, NOTHING_SAID)

    @property
    def addresses(self) -> list[str]:
        """All addresses to keep links to: those of the ring, and those given at first."""
        known = [] if self._routing is None else self._routing.addresses
        return list(dict.fromkeys([*known, *self._given]))

    def learn(self, told: Ring) -> None:
        """Route by this ring from now on."""
        self._routing = Routing(told)

    def failed(self, address: str, now: float) -> None:
        """``address`` did not answer: ask it last for a while."""
        self._avoid_until[address] = now + AVOID_S

    def answered(self, address: str) -> None:
        """``address`` has answered."""
        self._avoid_until.pop(address, None)

    def order(self, partition: int | None, now: float) -> list[str]:
        """The addresses to ask, in order, for a partition, or for anything (None)."""
        if partition is None or self._routing is None:
            self._turn += 1
            known = self.addresses
            first = self._turn % max(1, len(known))
            order = known[first:] + known[:first]
        else:
            order = self._routing.order(partition) or self.addresses
        if not self._avoid_until:
            return order
        return sorted(order, key=lambda address: self._avoid_until.get(address, 0.0) > now)

    def measured(self, message: Message) -> Latencies[str] | None:
        """The latencies of requests like ``message``, by address; None: they are not measured.

        Puts are measured by themselves, since they wait for disks and gets do not.
        """
        if self._routing is None:
            return None
        if isinstance(message, Get):
            return self._gets if message.only is None else None
        return self._puts if isinstance(message, Put) else None

    def around_slow(self, order: list[str], measured: Latencies[str], now: float) -> list[str]:
        """``order`` with the slow primaries behind the others; the same list if none is slow."""
        routing = self._routing
        assert routing is not None, "nothing is measured before a ring is known"
        usable = [
            address
            for address in order[: routing.replicas]
            if not routing.is_down(address) and self._avoid_until.get(address, 0.0) <= now
        ]
        slow = measured.slow(usable, now)
        if not slow:
            return order
        first = [address for address in usable if address not in slow] + slow
        return first + [address for address in order if address not in first]
