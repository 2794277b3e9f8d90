"""What every edge and every loop is given, put together once by main."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from opentill.db import Database
from opentill.gateways.port import Gateway
from opentill.kernel.clock import Clock
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.outbound import Outbound
from opentill.payments.tools import Tools
from opentill.pix.model import Account
from opentill.pix.port import PixReceiver
from opentill.settings import Settings


class Payer(Protocol):
    """Somebody who pays charges of the sandbox bank, as a payer would with a phone."""

    async def pay(self, txid: str, *, amount_centavos: int | None = None) -> Sequence[str]:
        """Pay a charge; return the end-to-end ids. Raises Refused where the bank does not let it be paid."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """One process's database, outside world, sources of time, chance and secrets, and settings."""

    settings: Settings
    db: Database
    clock: Clock
    ids: Ids
    keyring: Keyring
    outbound: Outbound
    gateways: Mapping[str, Gateway]
    receiver: Callable[[Account], PixReceiver]
    sandbox_bank: Payer

    @property
    def tools(self) -> Tools:
        return Tools(self.db, self.clock, self.ids, self.keyring, self.gateways, self.receiver)
