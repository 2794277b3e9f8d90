"""What every edge and every loop is given, put together once by main."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opentill.db import Database
from opentill.gateways.port import Gateway
from opentill.kernel.clock import Clock
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.outbound import Client
from opentill.payments.tools import Tools
from opentill.pix.model import Account
from opentill.pix.port import PixReceiver
from opentill.settings import Settings


@dataclass(frozen=True, slots=True)
class Dependencies:
    """One process's database, outside world, sources of time, chance and secrets, and settings."""

    settings: Settings
    db: Database
    clock: Clock
    ids: Ids
    keyring: Keyring
    outbound: Client
    gateways: Mapping[str, Gateway]
    receiver: Callable[[Account], PixReceiver]

    @property
    def tools(self) -> Tools:
        return Tools(self.db, self.clock, self.ids, self.keyring, self.gateways, self.receiver)
