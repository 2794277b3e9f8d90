"""Merchants and what they authenticate with."""

from dataclasses import dataclass
from typing import Final, Literal

from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner

SCOPES: Final = ("read", "write", "admin")
DEFAULT_SCOPES: Final = ("read", "write")
PERMISSIONS: Final = (
    "transfer:write",
    "transfer:approve",
    "payment:write",
    "payment:read",
    "account:read",
    "webhook:write",
    "webhook:read",
)
DEFAULT_PERMISSIONS: Final = tuple(name for name in PERMISSIONS if name != "transfer:approve")
KEY_RATE_MAX: Final = 1_000_000  # requests per minute

Status = Literal["active", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Merchant:
    """The business a key, payment or setting belongs to."""

    id: int
    uuid: str
    slug: str
    name: str
    city: str
    mode: Mode
    status: Status
    expiry_s: int

    @property
    def owner(self) -> Owner:
        return Owner(self.id, self.mode)

    @property
    def account_id(self) -> int:
        return self.owner.account_id


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key of the merchant API. Its text is never stored (merchant-api.md §2.1)."""

    id: int
    owner: Owner
    name: str
    prefix: str
    scopes: frozenset[str]
    status: Literal["active", "locked", "revoked"]
    dialect: Literal["auto", "seed", "sdk"]
    rate_limit: int | None
    allowed_ips: tuple[str, ...]
    expires_at: Instant | None
    merchant: Merchant

    def expired(self, now: Instant) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True)
class PixCredential:
    """A client id and secret of the PIX API. The secret is never stored (pix-api.md §3)."""

    id: int
    owner: Owner
    client_id: str
    name: str
    permissions: frozenset[str]
    check_ips: bool
    allowed_ips: tuple[str, ...]
    status: Literal["active", "revoked"]
    expires_at: Instant | None
    merchant: Merchant

    def usable(self, now: Instant) -> bool:
        return self.status == "active" and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class FeeRule:
    """A price: a fixed part plus a share, between a minimum and a maximum."""

    fixed_units: int
    basis_points: int
    min_units: int | None
    max_units: int | None
