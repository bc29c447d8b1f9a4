"""The addresses of a node: all are taken before anything runs, and all are given back."""

from __future__ import annotations

import pytest

from dynamo_py.config import NodeConfig
from dynamo_py.errors import WrongState
from dynamo_py.ports import Ports


class Heard:
    """Something that listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


class Addresses:
    """A transport on which some addresses are in use."""

    def __init__(self, *taken: str) -> None:
        self._taken = taken
        self.listening: list[Heard] = []

    async def connect(self, address):
        raise NotImplementedError

    async def listen(self, address):
        if address in self._taken:
            raise WrongState(f"{address} is in use")
        self.listening.append(Heard(address))
        return self.listening[-1]


def config(**addresses) -> NodeConfig:
    return NodeConfig(name="n1", data_dir="nowhere", **addresses)


async def test_what_the_configuration_names_is_bound_and_given_back():
    ports, transport = Ports(), Addresses()
    await ports.bind(config(listen="h:1", peer_listen="h:2", http_listen="127.0.0.1:0"), transport)
    bound = ports.addresses
    assert (bound["client"], bound["peer"]) == ("h:1", "h:2")
    assert bound["http"].startswith("127.0.0.1:")
    assert not bound["http"].endswith(":0")
    await ports.aclose()
    assert all(heard.is_closed for heard in transport.listening)
    assert ports.http_socket is not None
    assert ports.http_socket.fileno() == -1


async def test_what_is_not_named_is_not_bound():
    ports, transport = Ports(), Addresses()
    await ports.bind(config(listen=None, peer_listen="h:2", http_listen=None), transport)
    assert ports.addresses == {"peer": "h:2"}
    await ports.aclose()


async def test_after_an_address_in_use_what_was_bound_before_can_be_given_back():
    ports, transport = Ports(), Addresses("h:2")
    with pytest.raises(WrongState):
        await ports.bind(config(listen="h:1", peer_listen="h:2", http_listen=None), transport)
    await ports.aclose()
    assert [(heard.address, heard.is_closed) for heard in transport.listening] == [("h:1", True)]
