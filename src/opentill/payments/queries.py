"""Reading payments for APIs, pages and lists. Read-only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentill.db import ReadTx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.payments import store
from opentill.payments.model import Payment, Session

UUID_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
REFERENCE_FORM: Final = re.compile(r"txn_[0-9a-f]{16}", re.ASCII)
ID_FORM: Final = re.compile(r"[0-9]{1,15}", re.ASCII)  # numeric ids stay below 2^53
TOKEN_FORM: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; None means anything (merchant-api.md §8)."""

    statuses: tuple[str, ...] | None = None
    gateway: str | None = None
    since: Instant | None = None
    before: Instant | None = None  # exclusive
    order_id: str | None = None
    payment_uuid: str | None = None


def find(tx: ReadTx, ref: str, *, owner: Owner, keyring: Keyring) -> Payment | None:
    """Return an owner's payment by `txn_…`, UUID, provider reference or number, tried in this order."""
    if REFERENCE_FORM.fullmatch(ref):
        return store.one(tx, "p.reference = :ref", owner=owner, keyring=keyring, ref=ref)
    if UUID_FORM.fullmatch(ref):
        return store.one(tx, "p.uuid = :ref", owner=owner, keyring=keyring, ref=ref.lower())
    found = store.one(tx, "p.gateway_ref = :ref", owner=owner, keyring=keyring, ref=ref)
    if found is None and ID_FORM.fullmatch(ref):
        return store.one(tx, "p.id = :ref", owner=owner, keyring=keyring, ref=int(ref))
    return found


def by_token(tx: ReadTx, token: str, *, keyring: Keyring) -> Payment | None:
    """Return the payment a checkout address names. The token is the payer's permission; no owner is asked for."""
    if not TOKEN_FORM.fullmatch(token):
        return None
    row = tx.one_or_none(f"{store.PAYMENT} where p.token = :token", token=token)
    return store.as_payment(row, keyring) if row else None


def open_session(tx: ReadTx, payment: Payment) -> Session | None:
    return store.open_session(tx, payment.id, owner=payment.owner)


def last_session(tx: ReadTx, payment: Payment) -> Session | None:
    return store.last_session(tx, payment.id, owner=payment.owner)


def page(
    tx: ReadTx,
    filters: Filters,
    *,
    owner: Owner,
    keyring: Keyring,
    now: Instant,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> Sequence[Payment]:
    """Return up to *limit* payments, newest first: those with ids below *before*, or after *offset* of them."""
    condition, params = _condition(filters, owner, now)
    if before is not None:
        condition += " and p.id < :before"
        params["before"] = before
    # The page is cut on the index first, so that only its rows are joined.
    rows = tx.all(
        f"""{store.PAYMENT}
         where p.id in (select p.id from payment p where {condition} order by p.id desc limit :limit offset :offset)
         order by p.id desc
        """,
        limit=limit,
        offset=offset,
        **params,
    )
    return [store.as_payment(row, keyring) for row in rows]


def count(tx: ReadTx, filters: Filters, *, owner: Owner, now: Instant) -> int:
    """Return how many of an owner's payments pass the filters."""
    condition, params = _condition(filters, owner, now)
    row = tx.one_or_none(f"select count(*) as n from payment p where {condition}", **params)
    counted: int = row["n"] if row else 0
    return counted


def merchant_name(tx: ReadTx, owner: Owner) -> str:
    row = tx.one_or_none("select name from merchant where id = :id", id=owner.merchant_id)
    name: str = row["name"] if row else ""
    return name


def _condition(filters: Filters, owner: Owner, now: Instant) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition of a list and its parameters."""
    clauses = ["p.merchant_id = :merchant_id", "p.mode = :mode"]
    params: dict[str, Any] = {"merchant_id": owner.merchant_id, "mode": int(Mode(owner.mode))}
    exact = {
        "p.gateway": ("gateway", filters.gateway),
        "p.order_id": ("order_id", filters.order_id),
        "p.uuid": ("payment_uuid", filters.payment_uuid),
    }
    for column, (name, value) in exact.items():
        if value is not None:
            clauses.append(f"{column} = :{name}")
            params[name] = value
    if filters.since is not None:
        clauses.append("p.created_at >= :since")
        params["since"] = filters.since
    if filters.before is not None:
        clauses.append("p.created_at < :until")
        params["until"] = filters.before
    if filters.statuses is not None:
        clauses.append(_status_condition(filters.statuses, params, now))
    return " and ".join(clauses), params


def _status_condition(statuses: tuple[str, ...], params: dict[str, Any], now: Instant) -> str:
    """Match the words as they are shown: a pending payment past its time is an expired one."""
    params["now"] = now
    either = ["1 = 0"]
    for number, status in enumerate(dict.fromkeys(statuses)):
        params[f"status_{number}"] = status
        if status == "pending":
            either.append(f"(p.detail = :status_{number} and p.expires_at > :now)")
        elif status == "expired":
            either.append(f"(p.detail = :status_{number} or (p.detail = 'pending' and p.expires_at <= :now))")
        else:
            either.append(f"p.detail = :status_{number}")
    return f"({' or '.join(either)})"
