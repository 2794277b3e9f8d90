"""Merchants and what they authenticate with."""

from dataclasses import dataclass
from typing import Final, Literal

from opentill.kernel.clock import DAY, Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.merchants.options import DEFAULTS, Options

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
KEY_EXPIRING: Final = 14 * DAY  # a key that ends sooner is marked in lists, and its people are written to

Status = Literal["active", "suspended", "closed"]
Dialect = Literal["auto", "seed", "sdk"]


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
    options: Options = DEFAULTS
    primary_host: str | None = None  # of its own; None: its links carry the installation's

    def address(self, public_url: str) -> str:
        """Return what its links begin with, given what the installation's do."""
        scheme, _, _ = public_url.partition("://")
        return public_url if self.primary_host is None else f"{scheme}://{self.primary_host}"

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
    dialect: Dialect
    rate_limit: int | None
    allowed_ips: tuple[str, ...]
    expires_at: Instant | None
    merchant: Merchant

    def expired(self, now: Instant) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key as lists show it, with when and by whom it was used last."""

    id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    status: Literal["active", "locked", "revoked", "expired"]
    dialect: Dialect
    rate_limit: int | None
    allowed_ips: tuple[str, ...]
    expires_at: Instant | None
    replaced_by: str | None  # the prefix of the key that took over
    last_used_at: Instant | None
    last_used_ip: str | None
    last_used_agent: str | None
    created_at: Instant

    def expiring(self, now: Instant) -> bool:
        """Tell whether the key works, but not for long."""
        return self.status == "active" and self.expires_at is not None and self.expires_at - now < KEY_EXPIRING


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
class Tier:
    """The price of amounts up to a limit; without one, of all the rest."""

    limit_units: int | None
    fixed_units: int
    basis_points: int


@dataclass(frozen=True, slots=True)
class FeeRule:
    """A price: a fixed part and a share, their sum or the greater one, or tiers; between a minimum and a maximum."""

    fixed_units: int
    basis_points: int
    min_units: int | None
    max_units: int | None
    greater: bool = False
    tiers: tuple[Tier, ...] = ()

    def part_for(self, units: int) -> Tier:
        """Return what an amount costs: the first tier whose limit is at or above it; beyond all limits, nothing."""
        if not self.tiers:
            return Tier(None, self.fixed_units, self.basis_points)
        fitting = (tier for tier in self.tiers if tier.limit_units is None or units <= tier.limit_units)
        return next(fitting, Tier(None, 0, 0))
