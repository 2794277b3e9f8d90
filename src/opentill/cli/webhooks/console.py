"""What every `opentill webhooks` command works with: one merchant's webhooks, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import typer

from opentill.cli.options import Data
from opentill.cli.prepare import in_transaction
from opentill.db import Tx
from opentill.kernel.clock import Instant, SystemClock, from_datetime, to_datetime
from opentill.kernel.errors import Refused
from opentill.kernel.ids import Ids, SystemIds
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.master_keys import open_keyring
from opentill.merchants import service as merchants
from opentill.settings import Settings
from opentill.web.engine import bounds_of
from opentill.webhooks import service
from opentill.webhooks.model import Bounds, By, Dialect, Endpoint

T = TypeVar("T")

CONSOLE: Final = By("console", "command line")
Merchant = Annotated[str, typer.Argument(help="The merchant's id, as 'merchant add' printed it.")]
EndpointName = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint, wh_…")]
Since = Annotated[str | None, typer.Option(metavar="INSTANT", help="For example 2026-03-10T12:00:00, in UTC.")]


@dataclass(frozen=True, slots=True)
class Console:
    """An open transaction, and whose webhooks it is about."""

    tx: Tx
    owner: Owner
    ids: Ids
    keyring: Keyring
    now: Instant
    bounds: Bounds

    def endpoint(self, public_id: str) -> Endpoint:
        """Return one of the merchant's endpoints, of any dialect. Raises `EndpointNotFound`."""
        for endpoint in self.endpoints():
            if endpoint.public_id == public_id:
                return endpoint
        raise service.EndpointNotFound

    def endpoints(self) -> list[Endpoint]:
        return [one for dialect in Dialect for one in service.of_surface(self.tx, self.owner, dialect)]

    def named(self, public_id: str) -> dict[str, Any]:
        """Return the arguments by which use cases are told of an endpoint, and who changes it."""
        endpoint = self.endpoint(public_id)
        return {
            "owner": self.owner,
            "dialect": endpoint.dialect,
            "endpoint_id": endpoint.public_id,
            "now": self.now,
            "by": CONSOLE,
        }


def at_console(merchant: str, data: Data, work: Callable[[Console], T]) -> T:
    """Do something to a merchant's webhooks in one transaction."""
    settings = Settings.from_environment(data=data)
    return in_transaction(settings, lambda tx: work(console_of(tx, merchant, settings)))


def console_of(tx: Tx, merchant: str, settings: Settings) -> Console:
    clock = SystemClock()
    owner = merchants.find_merchant(tx, merchant).owner
    return Console(tx, owner, SystemIds(clock), open_keyring(settings), clock.now(), bounds_of(settings))


def tell(merchant: str, data: Data, work: Callable[[Console], Sequence[str]]) -> None:
    """Do the same, and print the lines it returns once that is committed."""
    for line in at_console(merchant, data, work):
        print(line)


def only_one(**chosen: object) -> None:
    """See that of options that exclude each other at most one was given. Raises `Refused`."""
    given = [f"--{name}" for name, value in chosen.items() if value]
    if len(given) > 1:
        raise Refused("CHOOSE_ONE", f"{' and '.join(given)} cannot be done together; choose one")


def instant(text: str) -> Instant:
    """Read an instant of UTC. Raises `Refused`."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("BAD_INSTANT", f"{text} is no instant; write it like 2026-03-10T12:00:00") from None
    return from_datetime(read if read.tzinfo else read.replace(tzinfo=UTC))


def shown(at: Instant | None) -> str:
    return "-" if at is None else f"{to_datetime(at):%Y-%m-%d %H:%M:%S}"
