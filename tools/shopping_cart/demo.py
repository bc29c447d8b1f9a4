"""The demo: one cart, two devices, three real nodes, one of which is killed and comes back.

Each step says what happens and checks it; the end is read back from every node. Exits with 0
only if all of it was so. `make demo` runs it.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

import trio

import dynamo_py
from dynamo_py import carts
from shopping_cart.demo_cluster import DemoCluster, DemoFailed, demo_cluster
from shopping_cart.shop import BUCKET, Shop

CUSTOMER = "alice"
CONVERGED_S = 20.0
READ_S = 2.0
LOOK_AGAIN_S = 0.1
FAILED, INTERRUPTED = 1, 130


def tell(text: str) -> None:
    """A line of the story."""
    print(text, flush=True)


def say(text: str) -> None:
    """A line below the heading of a step."""
    tell(f"   {text}")


def expect(is_so: bool, otherwise: str) -> None:
    """Stop the demo where the story does not hold."""
    if not is_so:
        raise DemoFailed(otherwise)


def listed(cart: carts.Cart) -> str:
    """``2 apples, 1 bread``."""
    return ", ".join(f"{n} {item}" for item, n in cart.contents().items()) or "nothing"


@dataclass
class Device:
    """A device of the customer: a shop, and the version of the cart on its screen."""

    name: str
    shop: Shop
    bucket: dynamo_py.Bucket
    seen: dynamo_py.Fetched | None = None

    @classmethod
    def at(cls, name: str, store: dynamo_py.Store) -> Device:
        """A device that shops through this store."""
        return cls(name, Shop(store, device=name), store.bucket(BUCKET, codec="raw"))

    async def look(self) -> carts.Cart:
        """Show the cart; from now on this version is on the screen."""
        self.seen = await self.bucket.get(CUSTOMER)
        return carts.decode_cart(carts.merge_values(self.seen.values))

    async def change_what_is_seen(self, *, add: str, remove: str | None = None) -> None:
        """Change the version on the screen, not knowing what others did since."""
        assert self.seen is not None, "looked first"
        cart = carts.decode_cart(carts.merge_values(self.seen.values)).add(self.shop.new_tag(), add)
        if remove is not None:
            cart = cart.remove(remove)
        done = await self.bucket.put(CUSTOMER, carts.encode_cart(cart), context=self.seen)
        removed = f", removes the {remove}" if remove else ""
        say(f"{self.name} adds 1 {add}{removed}: acknowledged by {' and '.join(done.acked)}")


class Story:
    """The steps, in order. Each expects what the one before it has left."""

    def __init__(
        self, cluster: DemoCluster, phone: Device, laptop: Device, store: dynamo_py.Store
    ) -> None:
        """The devices have a connection each; ``store`` looks into the nodes."""
        self._cluster = cluster
        self._phone = phone
        self._laptop = laptop
        self._carts = store.bucket(BUCKET, codec="raw")
        self._step = 1

    def _heading(self, text: str) -> None:
        self._step += 1
        tell(f"\n{self._step}. {text}")

    async def tell(self) -> None:
        """All of it."""
        await self.alice_shops_on_her_phone()
        await self.two_devices_on_the_two_sides_of_a_failure()
        await self.the_siblings_merge()
        await self.shopping_goes_on()
        await self.the_node_comes_back()
        await self.the_others_may_fail_now()

    async def alice_shops_on_her_phone(self) -> None:
        """A cart as it is on any day."""
        self._heading("Alice shops on her phone")
        await self._phone.shop.add(CUSTOMER, "apples", 2)
        await self._phone.shop.add(CUSTOMER, "bread")
        for device in (self._phone, self._laptop):
            cart = await device.look()
            say(f"{device.name} shows: {listed(cart)}")
            expect(cart.contents() == {"apples": 2, "bread": 1}, f"{device.name} shows otherwise")

    async def two_devices_on_the_two_sides_of_a_failure(self) -> None:
        """Both change the version they looked at before a node died."""
        self._heading("Node n3 is killed, and both devices go on from the cart that they show")
        await self._dev("kill", "3")
        await self._phone.change_what_is_seen(add="cheese")
        await self._laptop.change_what_is_seen(add="tea", remove="bread")
        say("neither has seen what the other did")

    async def the_siblings_merge(self) -> None:
        """The store keeps both versions, and the cart makes one of them."""
        self._heading("The store has kept both versions; reading shows them as siblings")
        found = await self._carts.get(CUSTOMER)
        for number, value in enumerate(found.values, 1):
            say(f"sibling {number}: {listed(carts.decode_cart(value))}")
        expect(len(found.values) == 2, f"there are {len(found.values)} siblings, not 2")
        merged = carts.decode_cart(carts.merge_values(found.values))
        say(f"merged:    {listed(merged)}")
        say("a union of the two would have brought the bread back; the cart knows better")
        wanted = {"apples": 2, "cheese": 1, "tea": 1}
        expect(merged.contents() == wanted, "the merged cart is not what it should be")

    async def shopping_goes_on(self) -> None:
        """The next change stores the merged cart; two nodes of three are enough."""
        self._heading("Alice goes on shopping while n3 is dead")
        cart = await self._phone.shop.add(CUSTOMER, "coffee", 3)
        say(f"phone adds 3 coffee:      {listed(cart)}")
        await self._laptop.shop.remove(CUSTOMER, "apples")
        cart = await self._laptop.look()
        say(f"laptop removes the apples: {listed(cart)}")
        expect(cart.contents() == FINAL, "the cart is not what it should be")
        found = await self._carts.get(CUSTOMER)
        expect(len(found.values) == 1, "the siblings were not merged in the store")

    async def the_node_comes_back(self) -> None:
        """Its copy is old; it catches up."""
        self._heading("Node n3 comes back, with the copy it had when it died")
        await self._dev("start", "3")
        old = await self._carts.get(CUSTOMER, node="n3")
        say(f"n3 held: {listed(carts.decode_cart(carts.merge_values(old.values)))}")
        say("a read that asks all three finds it behind, and mends it")
        copies = await self._wait_converged()
        for name, values in copies.items():
            say(f"{name} holds: {listed(carts.decode_cart(values[0]))}")

    async def the_others_may_fail_now(self) -> None:
        """What n3 missed is safe with it: another node may die."""
        self._heading("Now n1 is killed: n3 answers for what it once missed")
        await self._dev("kill", "1")
        cart = await self._laptop.look()
        say(f"laptop shows: {listed(cart)}")
        expect(cart.contents() == FINAL, "the cart is not what it should be")

    async def _wait_converged(self) -> dict[str, tuple[bytes, ...]]:
        """Wait until every node's own copy is the final cart, without siblings."""
        copies: dict[str, tuple[bytes, ...]] = {}
        with trio.move_on_after(CONVERGED_S):
            while True:
                await self._read_from_all()
                copies = await self._copies()
                if len(copies) == len(self._cluster.addresses) and all(
                    [carts.decode_cart(value).contents() for value in values] == [FINAL]
                    for values in copies.values()
                ):
                    return copies
                await trio.sleep(LOOK_AGAIN_S)
        raise DemoFailed(f"the nodes have not converged within {CONVERGED_S:g} s: {copies}")

    async def _read_from_all(self) -> None:
        """A read that asks every replica, and so mends those that are behind."""
        try:
            await self._carts.get(CUSTOMER, r="all", timeout=READ_S)
        except dynamo_py.DynamoError as error:
            # The others may not have noticed yet that the node is back.
            if not error.retryable:
                raise

    async def _copies(self) -> dict[str, tuple[bytes, ...]]:
        """Each node's own copy, of those that answer."""
        copies = {}
        for name in (f"n{k}" for k in range(1, len(self._cluster.addresses) + 1)):
            try:
                copies[name] = (await self._carts.get(CUSTOMER, node=name)).values
            except dynamo_py.DynamoError as error:
                if not error.retryable:
                    raise
        return copies

    async def _dev(self, *arguments: str) -> None:
        say(f"$ dyn-cli dev {' '.join(arguments)}")
        await self._cluster.dev(*arguments)


FINAL = {"cheese": 1, "coffee": 3, "tea": 1}
"""What is in the cart in the end: every item that was added and not removed."""


async def play() -> None:
    """Start the nodes, tell the story, stop the nodes."""
    started = trio.current_time()
    tell("A shopping cart that loses nothing\n\n1. Three nodes start")
    say("$ dyn-cli dev up --nodes 3 --detach")
    async with demo_cluster() as cluster:
        addresses = cluster.addresses
        say(f"n1, n2 and n3 are up and agree: {', '.join(addresses)}")
        async with (
            dynamo_py.connect(addresses[0], addresses[1]) as phone,
            dynamo_py.connect(addresses[1], addresses[0]) as laptop,
            dynamo_py.connect(*addresses) as store,
        ):
            story = Story(cluster, Device.at("phone", phone), Device.at("laptop", laptop), store)
            await story.tell()
    tell(f"\nEvery item is there, and what was removed stays away. ({_since(started)})")


def _since(started: float) -> str:
    return f"{trio.current_time() - started:.1f} s"


async def play_until_signal() -> int:
    """Play; the exit status. A signal ends it early, and the nodes are stopped first."""
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def wait_signal() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(wait_signal)
            try:
                await play()
                status = 0
            except (DemoFailed, dynamo_py.DynamoError) as error:
                print(f"\nFAILED: {error}", file=sys.stderr)
                status = FAILED
            nursery.cancel_scope.cancel()
    return status


def main() -> None:
    """The entry point of `python -m shopping_cart.demo`."""
    sys.exit(trio.run(play_until_signal))


if __name__ == "__main__":
    main()
