"""What a developer has happen at the sandbox bank: payouts end or come back, payers contest, banks decide.

Live merchants find nothing here. What happens reaches the books as a real bank's news do, a moment later.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.kernel.errors import Conflict, NotFound, Refused
from opentill.payments.infractions import service as infractions
from opentill.payments.infractions.model import UNDECIDED
from opentill.payments.pix import queries, sandbox
from opentill.payments.pix.flow import PROCESSED
from opentill.pix.model import Account
from opentill.pix.payouts import service as payouts
from opentill.pix.service import credentials_of
from opentill.web.sandbox_bank import SandboxDesk

FAILED: Final = "AC03"  # the recipient's account is wrong
CAME_BACK: Final = "MD06"
CONTESTED: Final = "FRAUD"
RESULTS: Final = ("AGREED", "DISAGREED", "CANCELLED")

Play = Callable[[SandboxDesk, Account], Awaitable[object]]


async def payout(visit: Visit) -> Response:
    """End a payout that the bank works on, or have one that arrived come back."""
    payout_id, outcome = visit.path("payout"), visit.field("outcome")
    found = await visit.read(lambda tx: payouts.find(tx, payout_id, owner=visit.owner))
    if found is None:
        raise NotFound("PAYOUT_NOT_FOUND", "No such payout.")

    async def play(desk: SandboxDesk, _account: Account) -> None:
        match outcome:
            case "returned":
                desk.return_payout(payout_id, None, CAME_BACK)
            case "completed" | "failed":
                code = FAILED if outcome == "failed" else None
                if not desk.settle_payout(payout_id, completed=outcome == "completed", code=code):
                    raise Conflict("INVALID_STATE", PROCESSED)
            case _:
                raise Conflict("INVALID_STATE", PROCESSED)

    return await _played(visit, play, f"payout:{payout_id}", f"{visit.home}/payouts/{payout_id}")


async def contest(visit: Visit) -> Response:
    """Have the payer of a receipt contest it."""
    e2e_id, place = visit.path("e2e"), f"{visit.home}/infractions"
    row = await visit.read(lambda tx: queries.find_rail_id(tx, e2e_id, owner=visit.owner))
    if row is None or row["direction"] != "inbound":
        raise NotFound("RECEIPT_NOT_FOUND", "No such receipt.")

    async def play(desk: SandboxDesk, account: Account) -> None:
        await sandbox.hear_infraction(visit.deps.tools, account, desk.contest(e2e_id, None, CONTESTED))

    return await _played(visit, play, f"receipt:{e2e_id}", place)


async def resolve(visit: Visit) -> Response:
    """Have the banks decide a contest; where they agree with the payer, the money goes back."""
    med_id, result = visit.path("infraction"), visit.field("outcome")
    found = await visit.read(lambda tx: infractions.find(tx, med_id, owner=visit.owner))
    if found is None:
        raise NotFound("INFRACTION_NOT_FOUND", "No such contest.")

    async def play(desk: SandboxDesk, account: Account) -> None:
        if result not in RESULTS or found.state not in UNDECIDED:
            raise Conflict("INVALID_STATE", PROCESSED)
        desk.resolve(found.ref, result, None)
        await sandbox.hear_infraction(visit.deps.tools, account, found.ref)

    return await _played(visit, play, f"infraction:{med_id}", f"{visit.home}/infractions/{med_id}")


async def _played(visit: Visit, play: Play, subject: str, place: str) -> Response:
    """Note who asked, play it at the merchant's desk, and lead back to *place*."""

    def noted(tx: Tx, log: Journalist) -> Account:
        account = sandbox.find_account(tx, owner=visit.owner)
        log("sandbox.played", subject, outcome=visit.field("outcome"))
        return account

    try:
        account = await visit.write(noted)
        client_id = credentials_of(account, visit.deps.keyring).get("client_id", "")
        await play(visit.deps.sandbox_bank.desk(client_id), account)
    except Refused as refusal:
        return visit.refused(refusal, place)
    return visit.go(place, note="played")


SCREENS: Final = (
    Screen("POST", "/m/{merchant}/payouts/{payout}/sandbox", payout, "developers.manage"),
    Screen("POST", "/m/{merchant}/receipts/{e2e}/contest", contest, "developers.manage"),
    Screen("POST", "/m/{merchant}/infractions/{infraction}/sandbox", resolve, "developers.manage"),
)
