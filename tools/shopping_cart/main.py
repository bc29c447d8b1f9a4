"""`shopping-cart`: a customer's cart from the command line."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

import dynamo_py
from dynamo_py import carts

if TYPE_CHECKING:
    from shopping_cart.shop import Shop

T = TypeVar("T")

DEFAULT_NODE = "127.0.0.1:7700"
NOT_IN_THE_CART, USAGE, NOBODY_ANSWERED, NO_QUORUM, REFUSED, INTERRUPTED = 1, 2, 3, 4, 5, 130


def _addresses(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> list[str]:
    """Addresses from options, or from the one string of the environment."""
    parts = (part.strip() for each in value for part in each.split(","))
    return [part for part in parts if part] or [DEFAULT_NODE]


def _checked_item(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not 0 < len(value) <= carts.ITEM_CHARACTERS_MAX or not value.isprintable():
        raise click.BadParameter(
            f"1 to {carts.ITEM_CHARACTERS_MAX} printable characters", ctx, param
        )
    return value


_customer = click.argument("customer", callback=_checked_item)
_item = click.argument("item", callback=_checked_item)


@click.group(context_settings={"help_option_names": ["--help", "-h"]})
@click.option(
    "--node",
    "nodes",
    multiple=True,
    envvar="DYN_NODES",
    metavar="HOST:PORT",
    callback=_addresses,
    help=f"A node of the store; may be given several times.  [default: {DEFAULT_NODE}]",
)
@click.pass_context
def cli(ctx: click.Context, nodes: list[str]) -> None:
    """A shopping cart that loses no item, kept in a cluster of dynamo-py."""
    ctx.obj = nodes


@cli.command()
@_customer
@_item
@click.argument("quantity", type=click.IntRange(1, carts.QUANTITY_MAX), default=1)
@click.pass_obj
def add(nodes: list[str], customer: str, item: str, quantity: int) -> None:
    """Put QUANTITY (1 unless said otherwise) of ITEM into CUSTOMER's cart."""
    _print_cart(_in_shop(nodes, lambda shop: shop.add(customer, item, quantity)))


@cli.command()
@_customer
@_item
@click.pass_context
def remove(ctx: click.Context, customer: str, item: str) -> None:
    """Take ITEM out of CUSTOMER's cart."""
    if not _in_shop(ctx.obj, lambda shop: shop.remove(customer, item)):
        click.echo(f"shopping-cart: {customer} has no {item} in the cart", err=True)
        ctx.exit(NOT_IN_THE_CART)


@cli.command()
@_customer
@click.pass_obj
def show(nodes: list[str], customer: str) -> None:
    """Show what is in CUSTOMER's cart."""
    _print_cart(_in_shop(nodes, lambda shop: shop.show(customer)))


def _print_cart(cart: carts.Cart) -> None:
    contents = cart.contents()
    for item, quantity in contents.items():
        click.echo(f"{quantity:>7}  {item}")
    if not contents:
        click.echo("the cart is empty")


def _in_shop(nodes: Sequence[str], work: Callable[[Shop], Awaitable[T]]) -> T:
    """What ``work`` returns in a shop of its own, as a device that there never was before."""
    import trio

    from shopping_cart.shop import Shop

    async def open_shop() -> T:
        async with dynamo_py.connect(*nodes) as store:
            return await work(Shop(store, device=secrets.token_hex(8)))

    return trio.run(open_shop)


def main() -> None:
    """The entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit status, by the same numbers as `dyn-cli`'s."""
    try:
        status = cli.main(list(arguments), prog_name="shopping-cart", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return USAGE
    except Exception as error:
        status = _status_of(error)
        if status is None:
            raise
        click.echo(f"shopping-cart: {error}", err=True)
        return status


def _status_of(error: Exception) -> int | None:
    """The exit status for an error of the store or of a cart; None for a bug of ours."""
    match error:
        case dynamo_py.NodeUnavailable():
            return NOBODY_ANSWERED
        case dynamo_py.QuorumNotMet() | dynamo_py.DeadlineExceeded():
            return NO_QUORUM
        case dynamo_py.DynamoError():
            return REFUSED
    return None
