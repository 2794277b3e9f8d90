"""What every edge and every loop is given, put together once by main."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from opentill.db import Database
from opentill.gateways.port import Gateway
from opentill.kernel.clock import Clock, Instant
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.outbound import Outbound
from opentill.payments.pix.refunder import PixRefunder
from opentill.payments.tools import Tools
from opentill.pix.model import GATEWAY as PIX
from opentill.pix.model import Account
from opentill.pix.port import PixPayout, PixReceiver
from opentill.settings import Settings
from opentill.web.rate_limit import Limits, OwnLimits
from opentill.web.request_log import RequestLog
from opentill.web.sandbox_bank import SandboxBank


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
    payer: Callable[[Account], PixPayout]
    sandbox_bank: SandboxBank
    limits: Limits = field(default_factory=OwnLimits)
    request_log: RequestLog = field(default_factory=RequestLog)
    trusts_database_clock: bool = False  # PostgreSQL: processes may be on hosts whose clocks differ

    def key_clock(self, now: Instant) -> Instant | None:
        """Return the time by which idempotency keys are measured: *now*, or None where the database is asked."""
        return None if self.trusts_database_clock else now

    @property
    def tools(self) -> Tools:
        return Tools(
            self.db,
            self.clock,
            self.ids,
            self.keyring,
            self.gateways,
            self.receiver,
            self.payer,
            {PIX: PixRefunder(self.db, self.receiver)},
        )
