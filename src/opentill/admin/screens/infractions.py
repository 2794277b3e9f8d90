"""Contests of PIX receipts (MED): what is blocked, until when it can be defended, and the defence."""

import json
from typing import Any, Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import ReadTx, Tx
from opentill.kernel.errors import Fault, Invalid, NotFound
from opentill.ledger import explorer
from opentill.payments.infractions import queries, service
from opentill.payments.infractions.model import UNDECIDED, Infraction, State
from opentill.webhooks.queries import history

DEFENSE_MAX: Final = 4_000  # characters
EVIDENCE_ROWS: Final = 3
EVIDENCE_MAX: Final = 2_048  # characters of an address or a description


async def index(visit: Visit) -> Response:
    """List the contests: those that can still be defended first, the nearest deadline before the others."""
    found = await visit.read(lambda tx: service.listed(tx, owner=visit.owner))
    open_ = sorted((one for one in found if one.state is State.OPEN), key=lambda one: one.defense_until_at)
    rest = [one for one in found if one.state is not State.OPEN]
    return visit.render("admin/pix/infractions.html", {"open": open_, "rest": rest})


async def show(visit: Visit) -> Response:
    """Show a contest: its money, its deadline, the defence, and what became of it."""
    med_id = visit.path("infraction")
    return visit.render("admin/pix/infraction.html", await visit.read(lambda tx: _story(tx, visit, med_id)))


async def defend(visit: Visit) -> Response:
    """Take the defence, once, and hand it on to the bank."""
    med_id, text = visit.path("infraction"), visit.field("defense")
    evidence = _evidence(visit)
    faults = []
    if not text or len(text) > DEFENSE_MAX:
        faults.append(Fault("defense", "DEFENSE_REQUIRED", "Write what happened, in at most 4,000 characters."))
    if any(not (piece["url"].startswith("https://") or not piece["url"]) for piece in evidence):
        faults.append(Fault("url0", "ADDRESS_INVALID", "Addresses of evidence begin with https://."))
    if faults:
        facts = await visit.read(lambda tx: _story(tx, visit, med_id))
        return visit.wrong("admin/pix/infraction.html", Invalid(faults), facts)

    def defended(tx: Tx, log: Journalist) -> None:
        service.defend(tx, med_id, text, evidence, owner=visit.owner, ids=visit.deps.ids, now=visit.now)
        log(
            "infraction.defended",
            f"infraction:{med_id}",
            before={"state": State.OPEN.value},
            after={"state": State.DEFENDED.value, "evidence": len(evidence)},
        )

    await visit.write(defended)
    return visit.go(f"{visit.home}/infractions/{med_id}", note="saved")


def _evidence(visit: Visit) -> list[dict[str, str]]:
    """Return the pieces of evidence that have an address or a description."""
    rows = [
        {"url": visit.field(f"url{row}")[:EVIDENCE_MAX], "description": visit.field(f"about{row}")[:EVIDENCE_MAX]}
        for row in range(EVIDENCE_ROWS)
    ]
    return [row for row in rows if row["url"] or row["description"]]


def _story(tx: ReadTx, visit: Visit, med_id: str) -> dict[str, Any]:
    infraction: Infraction | None = service.find(tx, med_id, owner=visit.owner)
    if infraction is None:
        raise NotFound("INFRACTION_NOT_FOUND", "No such contest.")
    returns = queries.returns(tx, med_id, owner=visit.owner)
    moves = [("infraction", f"{med_id}/{move}") for move in range(1, infraction.moves + 1)]
    sources = [*moves, *(("infraction_return", row["id"]) for row in returns)]
    journals = explorer.journals_of(tx, sources, owner=visit.owner)
    return {
        "infraction": infraction,
        "payment": queries.payment_of(tx, med_id, owner=visit.owner),
        "evidence": json.loads(infraction.evidence or "[]"),
        "returns": returns,
        "journals": journals,
        "lines": explorer.lines_of(tx, [journal["id"] for journal in journals]),
        "deliveries": history.deliveries(tx, owner=visit.owner, limit=50, object_id=med_id),
        "defensible": infraction.state is State.OPEN and visit.now < infraction.defense_until_at,
        "undecided": infraction.state in UNDECIDED,
        "rows": range(EVIDENCE_ROWS),
    }


SCREENS: Final = (
    Screen("GET", "/m/{merchant}/infractions", index, "disputes.view"),
    Screen("GET", "/m/{merchant}/infractions/{infraction}", show, "disputes.view"),
    Screen("POST", "/m/{merchant}/infractions/{infraction}/defense", defend, "disputes.manage"),
)
