"""A call of the merchant API."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant
from opentill.merchants.model import ApiKey
from opentill.operators.install import Install
from opentill.web.dependencies import Dependencies
from opentill.web.exchange import Call
from opentill.web.idempotency import Slot

NOT_ASKED: Final = Install()
SEED_FAMILY: Final = ("/payment-intents", "/payment-links")  # §0.2


class MerchantCall(Call):
    """What was asked, by whom, and under which idempotency key."""

    __slots__ = ("agent", "dependencies", "failure", "fields", "forget_callers", "key", "seed", "slot", "switches")

    def __init__(
        self,
        scope: Mapping[str, Any],
        dependencies: Dependencies,
        *,
        arrived_at: Instant,
        forget_callers: Callable[[], None],
    ) -> None:
        super().__init__(scope, arrived_at=arrived_at)
        self.dependencies = dependencies
        self.forget_callers = forget_callers  # after a key has changed
        self.agent = self.header(b"user-agent") or ""
        self.seed = self.path.startswith(SEED_FAMILY)
        self.key: ApiKey | None = None  # valid, though it may lack a scope
        self.fields: dict[str, Any] = {}
        self.slot: Slot | None = None
        self.switches = NOT_ASKED  # of the installation, as of this request
        self.failure = "INTERNAL_ERROR"  # the code to answer where the operation breaks

    @property
    def key_now(self) -> Instant | None:
        """Return the time by which idempotency keys are measured."""
        return self.dependencies.key_clock(self.arrived_at)

    @property
    def public_url(self) -> str:
        """Return the address links begin with: of the merchant's own host, else of the installation."""
        return self.by.merchant.address(self.dependencies.settings.public_url)

    @property
    def by(self) -> ApiKey:
        """Return the key, for operations, which are reached with a valid one only."""
        if self.key is None:
            raise RuntimeError("an operation was reached without a key")
        return self.key
