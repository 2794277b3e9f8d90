"""A call of the merchant API."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.kernel.clock import Instant
from opentill.merchants.model import ApiKey
from opentill.web.dependencies import Dependencies
from opentill.web.exchange import Call
from opentill.web.idempotency import Slot

SEED_FAMILY: Final = ("/payment-intents", "/payment-links")  # §0.2


class MerchantCall(Call):
    """What was asked, by whom, and under which idempotency key."""

    __slots__ = ("agent", "dependencies", "failure", "fields", "key", "seed", "slot")

    def __init__(self, scope: Mapping[str, Any], dependencies: Dependencies, *, arrived_at: Instant) -> None:
        super().__init__(scope, arrived_at=arrived_at)
        self.dependencies = dependencies
        self.agent = self.header(b"user-agent") or ""
        self.seed = self.path.startswith(SEED_FAMILY)
        self.key: ApiKey | None = None  # valid, though it may lack a scope
        self.fields: dict[str, Any] = {}
        self.slot: Slot | None = None
        self.failure = "INTERNAL_ERROR"  # the code to answer where the operation breaks

    @property
    def by(self) -> ApiKey:
        """Return the key, for operations, which are reached with a valid one only."""
        if self.key is None:
            raise RuntimeError("an operation was reached without a key")
        return self.key
