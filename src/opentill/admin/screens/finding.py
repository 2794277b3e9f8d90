"""Finding anything by what somebody has in their hand: an id, a reference, an e-mail, an end-to-end id."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import ANY, Screen
from opentill.admin.visit import Visit
from opentill.db import ReadTx
from opentill.events import queries as events
from opentill.ledger import explorer
from opentill.merchants import queries as merchants
from opentill.payments import queries, story
from opentill.payments.infractions import service as infractions
from opentill.payments.queries import Filters
from opentill.pix.payouts import queries as payouts
from opentill.webhooks.queries import history

FOUND_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found: what it is, its name, and where it is shown."""

    kind: str
    name: str
    place: str


async def search(visit: Visit) -> Response:
    """Look everywhere at once; a single find is opened."""
    wanted = visit.query("q")
    hits = await visit.read(lambda tx: _hits(tx, visit, wanted)) if wanted else []
    unique = list({hit.place: hit for hit in hits}.values())
    if len(unique) == 1:
        return visit.go(unique[0].place)
    return visit.render("admin/found.html", {"hits": unique[:FOUND_MAX], "wanted": wanted})


def _hits(tx: ReadTx, visit: Visit, wanted: str) -> list[Hit]:
    found: list[Hit] = []
    if visit.may("payments.view"):
        found += _payments(tx, visit, wanted)
    found += _of_the_rail(tx, visit, wanted)
    if visit.may("developers.view"):
        found += _technical(tx, visit, wanted)
    if visit.may("ledger.view") and explorer.journal(tx, number(wanted), owner=visit.owner):
        found.append(Hit("journal", wanted, f"{visit.home}/ledger/journals/{wanted}"))
    return found


def _payments(tx: ReadTx, visit: Visit, wanted: str) -> list[Hit]:
    """Look by reference, UUID, number, provider's reference, order, e-mail, charge and end-to-end id."""
    owner, keyring = visit.owner, visit.deps.keyring
    place = f"{visit.home}/payments/"
    found = []
    one = queries.find(tx, wanted, owner=owner, keyring=keyring)
    if one is not None:
        found.append(Hit("payment", one.reference, place + one.reference))
    by_order = queries.page(tx, Filters(order_id=wanted), owner=owner, keyring=keyring, now=visit.now, limit=FOUND_MAX)
    found += [Hit("payment", f"{each.reference} · {wanted}", place + each.reference) for each in by_order]
    for row in story.receipts_by_ref(tx, wanted, owner=owner):
        found.append(Hit("receipt", row["ref"], place + row["uuid"] if row["uuid"] else f"{visit.home}/reviews"))
    charged = wanted[2:] if len(wanted) == 27 and wanted.startswith("ot") else wanted
    found += [
        Hit("payment", uuid, place + uuid)
        for uuid in (
            *story.payments_of_customer(tx, wanted, owner=owner, keyring=keyring, limit=FOUND_MAX),
            *story.payments_of_charge(tx, charged, owner=owner),
        )
    ]
    return found


def _of_the_rail(tx: ReadTx, visit: Visit, wanted: str) -> list[Hit]:
    """Look among payouts by id, order, end-to-end id and the id of what came back; among contests by id."""
    owner, found = visit.owner, []
    if visit.may("payouts.view"):
        places = {
            payout_id: f"{visit.home}/payouts/{payout_id}" for payout_id in payouts.named(tx, wanted, owner=owner)
        }
        found += [Hit("payout", name, place) for name, place in places.items()]
    if visit.may("disputes.view") and infractions.find(tx, wanted, owner=owner):
        found.append(Hit("infraction", wanted, f"{visit.home}/infractions/{wanted}"))
    return found


def _technical(tx: ReadTx, visit: Visit, wanted: str) -> list[Hit]:
    """Look by event, delivery, endpoint and key."""
    hub, owner = f"{visit.home}/developers", visit.owner
    found = []
    if wanted.startswith("evt_") and events.one(tx, wanted, owner=owner):
        found.append(Hit("event", wanted, f"{hub}/events/{wanted}"))
    if wanted.startswith("dlv_") and history.delivery(tx, owner=owner, public_id=wanted):
        found.append(Hit("delivery", wanted, f"{hub}/deliveries/{wanted}"))
    if wanted.startswith("wh_"):
        found.append(Hit("endpoint", wanted, f"{hub}/endpoints/{wanted}"))
    if wanted.startswith("op_"):
        keys = merchants.api_keys(tx, owner=owner, now=visit.now, ended=True)
        found += [Hit("key", wanted[:11], f"{hub}/keys/{key.id}") for key in keys if key.prefix == wanted[3:11]]
    return found


SCREENS: Final = (Screen("GET", "/m/{merchant}/search", search, ANY),)
