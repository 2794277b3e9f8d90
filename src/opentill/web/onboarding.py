"""Making a merchant that can be tried at once: its gateways, and for a sandbox one an account at the sandbox bank.

The command line and the panel do it alike.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from opentill.db import Tx
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Secret
from opentill.merchants import gateways, service
from opentill.merchants.model import Merchant
from opentill.pix import service as pix
from opentill.pix.documents import cnpj_of
from opentill.pix.keys import Key, detect
from opentill.web.dependencies import Dependencies

BANK_NAME: Final = "Banco Sandbox"
BANK_DOCUMENT: Final = "11222333000181"
BANK_ISPB: Final = "99999001"  # as the sandbox bank calls itself
Attached = tuple[int, Secret]  # the number of the account, and the token of its notification address
T = TypeVar("T")


async def open_merchant(
    deps: Dependencies,
    name: str,
    *,
    mode: Mode,
    also: Callable[[Tx, Merchant], T],
    outbound_allow: Sequence[str] = (),
) -> tuple[Merchant, T, str | None]:
    """Make a merchant, and in the same transaction what *also* makes for it.

    Returns both, and the PIX key of a sandbox merchant's account.
    """
    bank = SandboxAccount(deps, name) if mode is Mode.SANDBOX else None

    def make(tx: Tx) -> tuple[Merchant, Attached | None, T]:
        merchant = service.create_merchant(
            tx, name, mode=mode, ids=deps.ids, keyring=deps.keyring, now=deps.clock.now(), outbound_allow=outbound_allow
        )
        attached = bank.attach(tx, merchant) if bank is not None else None
        return merchant, attached, also(tx, merchant)

    merchant, attached, made = await deps.db.write(make)
    if bank is None or attached is None:
        return merchant, made, None
    await bank.ask_to_be_told(attached)
    return merchant, made, bank.key.value


class SandboxAccount:
    """An account at the sandbox bank, opened before the merchant who will own it."""

    def __init__(self, deps: Dependencies, name: str) -> None:
        self._deps = deps
        self.key: Key = detect(deps.ids.uuid7())
        self._credentials = {"client_id": deps.ids.hex(32), "client_secret": deps.ids.hex(64)}
        deps.sandbox_bank.open_account(
            client_id=self._credentials["client_id"],
            client_secret=self._credentials["client_secret"],
            document=cnpj_of(_digits(deps.ids, 12)),
            name=name,
            city="SAO PAULO",
            keys=[self.key.value],
        )

    def attach(self, tx: Tx, merchant: Merchant) -> Attached:
        """Attach the account to its merchant and switch the test gateways on."""
        deps, now = self._deps, self._deps.clock.now()
        gateways.switch_on(tx, "pix", name="PIX", owner=merchant.owner, position=0, now=now)
        gateways.switch_on(tx, "sandbox", name="Sandbox", owner=merchant.owner, position=1, now=now)
        return pix.attach_account(
            tx,
            owner=merchant.owner,
            merchant_uuid=merchant.uuid,
            profile="sandbox",
            bank_name=BANK_NAME,
            bank_ispb=BANK_ISPB,
            bank_document=BANK_DOCUMENT,
            credentials=self._credentials,
            keys=[self.key],
            ids=deps.ids,
            keyring=deps.keyring,
            now=now,
        )

    async def ask_to_be_told(self, attached: Attached) -> None:
        """Give the bank the address of our notifications."""
        account_id, token = attached
        account = await self._deps.db.read(lambda tx: pix.find_account(tx, account_id))
        if account is not None:
            hook = f"{self._deps.settings.public_url}/hooks/pix/{account_id}/{token.reveal()}"
            await self._deps.receiver(account).ensure_webhook(self.key.value, hook)


def _digits(ids: Ids, count: int) -> str:
    return f"{int(ids.hex(16), 16) % 10**count:0{count}}"
