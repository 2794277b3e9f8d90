"""A bank through which nothing is paid out: its profile has no payout driver."""

from collections.abc import Sequence
from datetime import date
from typing import NoReturn

from opentill.kernel.clock import Instant
from opentill.pix.port import (
    DecodedCode,
    Denied,
    Evidence,
    Hint,
    KeyOwner,
    Page,
    PayoutCapabilities,
    PayoutRequest,
    ProviderBalance,
    ProviderInfraction,
    ProviderPayout,
    RawRequest,
    StatementLine,
    UnreadableNotification,
)


class NoPayouts:
    """`PixPayout` of an account that only receives. Nothing is ever sent; payouts wait and time out."""

    capabilities = PayoutCapabilities()

    async def submit(self, request: PayoutRequest) -> ProviderPayout:
        _deny()

    async def query(self, ref: str, e2e_id: str | None) -> ProviderPayout | None:
        _deny()

    async def lookup_key(self, key: str) -> KeyOwner | None:
        _deny()

    async def decode_code(self, code: str, on: date) -> DecodedCode:
        _deny()

    async def balance(self) -> ProviderBalance:
        _deny()

    async def statement(self, day: date, cursor: str | None = None) -> Page[StatementLine]:
        _deny()

    async def list_infractions(
        self, start: Instant, end: Instant, cursor: str | None = None
    ) -> Page[ProviderInfraction]:
        _deny()

    async def get_infraction(self, ref: str) -> ProviderInfraction | None:
        _deny()

    async def send_defense(self, ref: str, text: str, evidence: Sequence[Evidence]) -> None:
        _deny()

    def parse_notification(self, request: RawRequest) -> list[Hint]:
        raise UnreadableNotification("this account has no payout driver")


def _deny() -> NoReturn:
    raise Denied("this account has no payout driver")
