"""What a use case that leaves the process needs between its transactions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opentill.db import Database
from opentill.gateways.port import Gateway
from opentill.kernel.clock import Clock
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.pix.model import Account
from opentill.pix.port import PixReceiver


@dataclass(frozen=True, slots=True)
class Tools:
    """The database, the outside world and the sources of time, chance and secrets."""

    db: Database
    clock: Clock
    ids: Ids
    keyring: Keyring
    gateways: Mapping[str, Gateway]
    receiver: Callable[[Account], PixReceiver]  # the bank behind a provider account
