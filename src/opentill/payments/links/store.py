"""SQL of payment links. The counts of uses are kept by the guards of payments (migration 0003)."""

import json
from typing import Any, Final

from opentill.db import Row, Tx
from opentill.db.dialect import for_update
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.money import Money, currency
from opentill.kernel.owner import Owner
from opentill.payments.links.model import Kind, Link, Question, Terms

LINK: Final = """
        select id, uuid, slug, merchant_id, mode, status, title, description, currency, units, min_units, max_units,
               redirect_url, callback_url, callback_bare, gateway, require_address, fields, metadata, max_uses,
               use_count, open_count, expires_at, created_at, updated_at
          from payment_link
"""


def insert(tx: Tx, uuid: str, slug: str, terms: Terms, *, owner: Owner, now: Instant) -> int | None:
    """Insert a link and return its id; None if the slug is taken, by whomever."""
    made = tx.all(
        """
        insert into payment_link (uuid, slug, merchant_id, mode, status, title, description, currency, units, min_units,
                                  max_units, redirect_url, callback_url, callback_bare, gateway, require_address,
                                  fields, metadata, max_uses, expires_at, created_at, updated_at)
        values (:uuid, :slug, :merchant_id, :mode, :status, :title, :description, :currency, :units, :min_units,
                :max_units, :redirect_url, :callback_url, :callback_bare, :gateway, :require_address,
                :fields, :metadata, :max_uses, :expires_at, :now, :now)
        on conflict (slug) do nothing
        returning id
        """,
        uuid=uuid,
        slug=slug,
        **owner.columns,
        now=now,
        **_columns(terms),
    )
    return made[0]["id"] if made else None


def update(tx: Tx, link: Link, slug: str, terms: Terms, *, now: Instant) -> None:
    """Save a locked link's terms. A limit below what is used already is kept, and nothing more is sold."""
    tx.run(
        """
        update payment_link
           set slug = :slug, status = :status, title = :title, description = :description, currency = :currency,
               units = :units, min_units = :min_units, max_units = :max_units, redirect_url = :redirect_url,
               callback_url = :callback_url, callback_bare = :callback_bare, gateway = :gateway,
               require_address = :require_address, fields = :fields, metadata = :metadata, max_uses = :max_uses,
               over_count = case when use_count + open_count > :max_uses then use_count + open_count - :max_uses
                                 else 0 end,
               expires_at = :expires_at, updated_at = :now
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=link.id,
        slug=slug,
        **link.owner.columns,
        now=now,
        **_columns(terms),
    )


def lock(tx: Tx, link_id: int, *, owner: Owner) -> Link | None:
    """Load an owner's link and lock its row until *tx* ends."""
    row = tx.one_or_none(
        f"{LINK} where id = :id and merchant_id = :merchant_id and mode = :mode{for_update(tx)}",
        id=link_id,
        **owner.columns,
    )
    return as_link(row) if row else None


def as_link(row: Row) -> Link:
    in_currency = currency(row["currency"])

    def money(column: str) -> Money | None:
        return Money(row[column], in_currency) if row[column] is not None else None

    return Link(
        id=row["id"],
        uuid=row["uuid"],
        slug=row["slug"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        terms=Terms(
            title=row["title"],
            currency=in_currency,
            amount=money("units"),
            least=money("min_units"),
            most=money("max_units"),
            slug=row["slug"],
            description=row["description"],
            redirect_url=row["redirect_url"],
            callback_url=row["callback_url"],
            callback_bare=bool(row["callback_bare"]),
            gateway=row["gateway"],
            require_address=bool(row["require_address"]),
            questions=_questions(row["fields"]),
            metadata=row["metadata"],
            max_uses=row["max_uses"],
            expires_at=row["expires_at"],
            active=row["status"] == "active",
        ),
        use_count=row["use_count"],
        open_count=row["open_count"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _columns(terms: Terms) -> dict[str, Any]:
    return {
        "status": "active" if terms.active else "inactive",
        "title": terms.title,
        "description": terms.description,
        "currency": terms.currency.code,
        "units": terms.amount.units if terms.amount else None,
        "min_units": terms.least.units if terms.least else None,
        "max_units": terms.most.units if terms.most else None,
        "redirect_url": terms.redirect_url,
        "callback_url": terms.callback_url,
        "callback_bare": int(terms.callback_bare),
        "gateway": terms.gateway,
        "require_address": int(terms.require_address),
        "fields": json.dumps([_stored(question) for question in terms.questions], ensure_ascii=False),
        "metadata": terms.metadata,
        "max_uses": terms.max_uses,
        "expires_at": terms.expires_at,
    }


def _stored(question: Question) -> dict[str, object]:
    return {
        "key": question.key,
        "label": question.label,
        "type": question.kind.value,
        "options": list(question.options),
        "required": question.required,
    }


def _questions(fields: str) -> tuple[Question, ...]:
    return tuple(
        Question(kept["key"], kept["label"], Kind(kept["type"]), tuple(kept["options"]), kept["required"])
        for kept in json.loads(fields)
    )
