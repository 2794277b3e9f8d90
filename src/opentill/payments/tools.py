"""What a use case that leaves the process needs between its transactions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from opentill.db import Database
from opentill.gateways.port import Gateway, Refunder
from opentill.kernel.clock import Clock
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.pix.model import Account
from opentill.pix.port import PixPayout, PixReceiver


@dataclass(frozen=True, slots=True)
class Tools:
    """The database, the outside world and the sources of time, chance and secrets."""

    db: Database
    clock: Clock
    ids: Ids
    keyring: Keyring
    gateways: Mapping[str, Gateway]
    receiver: Callable[[Account], PixReceiver]  # the bank behind a provider account
    payer: Callable[[Account], PixPayout]  # the same, where it pays out
    refunders: Mapping[str, Refunder] = field(default_factory=dict)  # of rails that are no gateway of their own

    def refunder(self, slug: str) -> Refunder | None:
        """Return what gives back money that came through a gateway."""
        return self.refunders.get(slug) or self.gateways.get(slug)
