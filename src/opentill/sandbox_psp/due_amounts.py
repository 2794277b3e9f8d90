"""What paying a charge costs now: the amount asked for or, with a due date, what its day makes of it."""

import json

from opentill.kernel.calendar import day_of
from opentill.pix.due import Owed, Terms, owed, read_terms
from opentill.sandbox_psp.frame import Frame, shown_amount
from opentill.sandbox_psp.http import render
from opentill.sandbox_psp.store import Row


def asked_now(frame: Frame, charge: Row) -> int:
    """Return the centavos a charge asks for now."""
    return owed_now(frame, charge).total if charge["kind"] == "cobv" else int(charge["amount"])


def terms_of(charge: Row) -> Terms:
    """Return what a charge asks for, by day."""
    body = json.loads(charge["body"])
    return read_terms(body["calendario"], body["valor"])


def owed_now(frame: Frame, charge: Row) -> Owed:
    """Return what paying a charge costs today."""
    return owed(terms_of(charge), day_of(frame.now()))


def components(parts: Owed) -> str:
    """Return what a receipt says of the parts of its amount, as JSON."""
    shown = {"original": shown_amount(parts.original)} | shown_parts(parts)
    return render({name: {"valor": amount} for name, amount in shown.items()})


def shown_parts(parts: Owed) -> dict[str, str]:
    """Return the parts beside the original that are not nothing, in the document's words."""
    named = {"multa": parts.fine, "juros": parts.interest, "abatimento": parts.rebate, "desconto": parts.discount}
    return {name: shown_amount(amount) for name, amount in named.items() if amount}
