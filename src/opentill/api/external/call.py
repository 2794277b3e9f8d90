"""A call of the PIX API."""

from collections.abc import Mapping
from typing import Any, Final

from opentill.api.external.key_case import camel
from opentill.kernel.clock import Instant
from opentill.merchants.model import PixCredential
from opentill.web.dependencies import Dependencies
from opentill.web.exchange import Call, printable
from opentill.web.idempotency import Slot
from opentill.web.json_body import write

KEY_MAX: Final = 256  # characters of an Idempotency-Key


class ExternalCall(Call):
    """What was asked, by whom, and under which idempotency key."""

    __slots__ = ("camel", "credential", "dependencies", "fields", "operating", "slot")

    def __init__(self, scope: Mapping[str, Any], dependencies: Dependencies, *, arrived_at: Instant) -> None:
        super().__init__(scope, arrived_at=arrived_at)
        self.dependencies = dependencies
        self.credential: PixCredential | None = None
        self.fields: dict[str, Any] = {}
        self.slot: Slot | None = None
        self.camel = False  # answer keys in camelCase
        self.operating = False  # every check has passed: what is refused now is refused by the operation
        key = self.headers.get(b"idempotency-key")
        if key is not None and self.method == "POST":
            text = key.decode("latin-1")
            self.idempotency_key = text if printable(text, characters_max=KEY_MAX) else None

    @property
    def key_now(self) -> Instant | None:
        """Return the time by which idempotency keys are measured."""
        return self.dependencies.key_clock(self.arrived_at)

    @property
    def by(self) -> PixCredential:
        """Return the credential, for operations, which are reached with a good one only."""
        if self.credential is None:
            raise RuntimeError("an operation was reached without a credential")
        return self.credential

    def written(self, fields: Mapping[str, Any]) -> bytes:
        """Return an answer's bytes, its keys in the caller's case."""
        return write(camel(fields) if self.camel else fields)
