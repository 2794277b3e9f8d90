"""What every use case with a charge's bank needs: its account, its payment, and the books of what it lists."""

from collections.abc import Awaitable, Sequence
from typing import Final

import structlog

from opentill.db import ReadTx, Tx
from opentill.gateways.rounds import each
from opentill.kernel.errors import Busy, NotFound
from opentill.payments.model import Payment
from opentill.payments.pix import service as pix
from opentill.payments.tools import Tools
from opentill.pix import port
from opentill.pix import store as charges
from opentill.pix.model import Account, Charge

RETRY_AFTER_S: Final = 5
BATCH: Final = 100

log = structlog.get_logger("opentill.payments")


async def book(tools: Tools, account: Account, receipts: Sequence[port.ProviderReceipt]) -> None:
    """Book each receipt in a transaction of its own, so that one that cannot be booked keeps no other waiting."""

    def find_new(tx: ReadTx) -> Sequence[port.ProviderReceipt]:
        return [receipt for receipt in receipts if receipt.returns or not pix.is_counted(tx, account, receipt)]

    def book_one(receipt: port.ProviderReceipt) -> Awaitable[None]:
        def receive(tx: Tx) -> None:
            now = tools.clock.now()
            pix.receive(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now)
            pix.note_returns(tx, account, receipt, ids=tools.ids, keyring=tools.keyring, now=now)

        return tools.db.write(receive)

    if receipts:
        await each(await tools.db.read(find_new), book_one)


async def account_of(tools: Tools, account_id: int) -> Account:
    found = await tools.db.lookup(lambda tx: charges.account(tx, account_id))
    if found is None:
        raise NotFound("ACCOUNT_NOT_FOUND", "No such provider account.")
    return found


def payment_of(tx: Tx, tools: Tools, charge: Charge) -> Payment:
    """Return a charge's payment, locked."""
    return pix.locked(tx, charge, keyring=tools.keyring)


def tell(account: Account, operation: str, failure: port.CallFailed) -> None:
    """Tell the operator that a bank did not answer a loop's question. The loop asks again."""
    log.warning(
        "bank call failed", account=account.id, operation=operation, outcome=failure.outcome, error=str(failure)
    )


def unavailable() -> Busy:
    return Busy("PROVIDER_UNAVAILABLE", "Provider unavailable, try again", retry_after_s=RETRY_AFTER_S)
