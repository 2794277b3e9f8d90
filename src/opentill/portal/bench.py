"""The verification bench as a page: what was pasted, and what the check found. The secret is used once and dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from opentill.db import ReadTx
from opentill.kernel.secret import Secret
from opentill.web import forms
from opentill.web.dependencies import Dependencies
from opentill.webhooks import queries, verifying
from opentill.webhooks.model import Dialect
from opentill.webhooks.portal_access import Visitor
from opentill.webhooks.verifying import Pasted, Sent, Step

DIALECTS: Final = {dialect.name.lower(): dialect for dialect in Dialect}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was pasted."""

    dialect: str = ""
    headers: str = ""
    body: str = ""
    secret: Secret = Secret("")  # noqa: RUF009 - nothing changes a secret


@dataclass(frozen=True, slots=True)
class Found:
    """What the check found."""

    steps: Sequence[Step]

    @property
    def passed(self) -> bool:
        return all(step.passed is not False for step in self.steps) and any(
            step.name == "signature" and step.passed for step in self.steps
        )


EMPTY: Final = Asked()


async def read(request: Request) -> Asked:
    """Read the form, within limits."""
    form = await forms.read(request)
    most = verifying.TEXT_CHARACTERS_MAX
    return Asked(
        dialect=form.get("dialect", ""),
        headers=form.get("headers", "")[:most],
        body=form.get("body", "")[:most],
        secret=Secret(form.get("secret", "")[:most]),
    )


async def check(deps: Dependencies, visitor: Visitor, asked: Asked) -> Found:
    """Check what was pasted, beside what we sent under the same id if this visitor may see it."""
    pasted = Pasted(verifying.read_headers(asked.headers), verifying.body_of(asked.body), asked.secret)
    dialect = DIALECTS.get(asked.dialect, Dialect.STANDARD)
    sent = await deps.db.read(lambda tx: _sent(tx, visitor, pasted))
    return Found(verifying.check(pasted, dialect, sent=sent, now=deps.clock.now()))


def _sent(tx: ReadTx, visitor: Visitor, pasted: Pasted) -> Sent | None:
    """Return what we sent with the delivery the headers name, to one of the visitor's endpoints."""
    name = pasted.headers.get("x-ownpay-delivery") or pasted.headers.get("x-opentill-delivery-id")
    row = None if name is None else queries.delivery(tx, owner=visitor.owner, public_id=name)
    if row is None or row.endpoint_public_id not in visitor.endpoints:
        return None
    body = queries.payload(tx, event_seq=row.event_seq, variant=row.variant)
    return None if body is None else Sent(body)
