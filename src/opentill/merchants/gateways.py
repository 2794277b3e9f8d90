"""Which gateways a merchant has switched on."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict
from opentill.kernel.money import Money
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring, Secret

RESERVED: Final = frozenset({"manual", "pix", "sandbox"})
SLUG_FORM: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}", re.ASCII)
ONLY: Final = {"pix": "BRL"}  # rails that move one currency


@dataclass(frozen=True, slots=True)
class ActiveGateway:
    """A gateway as this merchant's payers see it."""

    slug: str
    name: str
    manual: bool = False
    currency: str | None = None  # the only one it takes; None: any
    min_units: int | None = None
    max_units: int | None = None

    def takes_amount(self, amount: Money) -> bool:
        """Tell whether an amount in the gateway's currency lies within its limits."""
        return (self.min_units or 0) <= amount.units <= (self.max_units or amount.units)


@dataclass(frozen=True, slots=True)
class ManualField:
    """One more thing a manual gateway asks its payer."""

    key: str
    label: str
    type: str = "text"
    required: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class ManualGateway:
    """A merchant's own way to be paid: a person sees whether the money came (merchant-api.md §12.1)."""

    slug: str
    name: str
    currency: str | None
    settings: Mapping[str, Any]

    @property
    def auto_complete_refunds(self) -> bool:
        return bool(self.settings.get("auto_complete_refunds", False))

    @property
    def require_provider_trx(self) -> bool:
        return bool(self.settings.get("require_provider_trx", True))

    @property
    def proof_upload(self) -> str:
        """Return off, optional or required."""
        return str(self.settings.get("proof_upload", "optional"))

    def text(self, name: str) -> str:
        """Return a text the merchant wrote for payers: account_number, account_holder, or qr_text, which is drawn."""
        return str(self.settings.get(name, ""))

    def steps(self, language: str) -> Sequence[str]:
        """Return what the payer is to do, in their language where the merchant wrote it."""
        written = self.settings.get("steps", ())
        if isinstance(written, Mapping):
            primary = language.partition("-")[0]
            written = written.get(language) or written.get(primary) or next(iter(written.values()), ())
        return written.splitlines() if isinstance(written, str) else [str(step) for step in written]

    @property
    def fields(self) -> Sequence[ManualField]:
        """Return what else the payer is asked."""
        return [ManualField(**field) for field in self.settings.get("fields", ())]


def switch_on(tx: Tx, slug: str, *, name: str, owner: Owner, position: int, now: Instant) -> None:
    """Offer a gateway at the merchant's checkout. Safe to repeat."""
    tx.run(
        """
        insert into merchant_gateway (merchant_id, mode, slug, name, position, created_at)
        values (:merchant_id, :mode, :slug, :name, :position, :now)
        on conflict (merchant_id, mode, slug) do update set active = 1, name = :name, position = :position
        """,
        **owner.columns,
        slug=slug,
        name=name,
        position=position,
        now=now,
    )


def save_manual(
    tx: Tx,
    slug: str,
    *,
    name: str,
    settings: Mapping[str, Any],
    owner: Owner,
    currency: str | None = None,
    min_units: int | None = None,
    max_units: int | None = None,
    position: int = 0,
    active: bool = True,
    now: Instant,
) -> None:
    """Make or change a manual gateway. Raises Conflict where the slug is reserved, or another gateway's."""
    if slug in RESERVED or SLUG_FORM.fullmatch(slug) is None:
        raise Conflict("SLUG_TAKEN", "A manual gateway cannot be called '%(slug)s'.", slug=slug)
    saved = tx.run(
        """
        insert into merchant_gateway (merchant_id, mode, slug, name, kind, currency, min_units, max_units, settings,
                                      position, active, created_at)
        values (:merchant_id, :mode, :slug, :name, 'manual', :currency, :min_units, :max_units, :settings,
                :position, :active, :now)
        on conflict (merchant_id, mode, slug) do update
           set name = excluded.name, currency = excluded.currency,
               min_units = coalesce(excluded.min_units, merchant_gateway.min_units),
               max_units = coalesce(excluded.max_units, merchant_gateway.max_units),
               settings = excluded.settings, position = excluded.position, active = excluded.active
         where merchant_gateway.kind = 'manual'
        """,
        **owner.columns,
        slug=slug,
        name=name,
        currency=currency,
        min_units=min_units,
        max_units=max_units,
        settings=json.dumps(settings, ensure_ascii=False),
        position=position,
        active=int(active),
        now=now,
    )
    if not saved:
        raise Conflict("SLUG_TAKEN", "'%(slug)s' is the name of another gateway.", slug=slug)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a merchant decides about a gateway of any kind. Amounts are in its currency."""

    name: str
    currency: str | None
    min_units: int | None
    max_units: int | None
    callback_networks: tuple[str, ...] = ()  # from where callbacks are taken; empty: from anywhere


def terms(tx: ReadTx, slug: str, *, owner: Owner) -> Terms | None:
    """Return a gateway's terms; None where the slug is none of the merchant's."""
    row = tx.one_or_none(
        """
        select name, currency, min_units, max_units, settings from merchant_gateway
         where merchant_id = :merchant_id and mode = :mode and slug = :slug
        """,
        **owner.columns,
        slug=slug,
    )
    if row is None:
        return None
    networks = callback_networks(row["settings"])
    return Terms(row["name"], row["currency"] or ONLY.get(slug), row["min_units"], row["max_units"], networks)


def set_terms(tx: Tx, slug: str, wanted: Terms, *, owner: Owner) -> None:
    """Let a gateway's terms hold for payments that are paid from now on."""
    [row] = tx.all(
        f"""
        select settings from merchant_gateway
         where merchant_id = :merchant_id and mode = :mode and slug = :slug{for_update(tx)}
        """,
        **owner.columns,
        slug=slug,
    )
    settings = json.loads(row["settings"]) | {"callback_networks": list(wanted.callback_networks)}
    tx.run(
        """
        update merchant_gateway
           set name = :name, currency = :currency, min_units = :least, max_units = :most, settings = :settings
         where merchant_id = :merchant_id and mode = :mode and slug = :slug
        """,
        **owner.columns,
        slug=slug,
        name=wanted.name,
        currency=wanted.currency,
        least=wanted.min_units,
        most=wanted.max_units,
        settings=json.dumps(settings, ensure_ascii=False),
    )


def callback_secret(slug: str, *, owner: Owner, keyring: Keyring) -> Secret:
    """Return what a gateway of ours signs its callbacks to a merchant with. It is derived, and stored nowhere."""
    return Secret("gws_" + keyring.keyed_hash(f"{owner.merchant_id}/{int(owner.mode)}/{slug}", "gateway.callback"))


def callback_networks(settings: str | None) -> tuple[str, ...]:
    """Return from where a gateway of these stored settings takes callbacks; empty: from anywhere."""
    return tuple(json.loads(settings).get("callback_networks", ())) if settings else ()


def active(tx: ReadTx, *, owner: Owner) -> Sequence[ActiveGateway]:
    """Return the merchant's gateways that are switched on, in the order payers see them."""
    rows = tx.all(
        """
        select slug, name, kind, currency, min_units, max_units from merchant_gateway
         where merchant_id = :merchant_id and mode = :mode and active = 1
         order by position, id
        """,
        **owner.columns,
    )
    return [
        ActiveGateway(
            row["slug"],
            row["name"],
            row["kind"] == "manual",
            row["currency"] or ONLY.get(row["slug"]),
            row["min_units"],
            row["max_units"],
        )
        for row in rows
    ]


def manual(tx: ReadTx, slug: str, *, owner: Owner) -> ManualGateway | None:
    """Return a manual gateway, switched on or off; None where the slug is none of the merchant's."""
    row = tx.one_or_none(
        """
        select slug, name, currency, settings from merchant_gateway
         where merchant_id = :merchant_id and mode = :mode and slug = :slug and kind = 'manual'
        """,
        **owner.columns,
        slug=slug,
    )
    return ManualGateway(row["slug"], row["name"], row["currency"], json.loads(row["settings"])) if row else None
