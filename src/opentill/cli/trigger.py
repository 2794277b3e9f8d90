"""`opentill trigger`: makes an event happen in the sandbox, by what really causes it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer

from opentill.cli.client import Client
from opentill.cli.options import Key, Url
from opentill.kernel.errors import Refused
from opentill.kernel.ids import SystemIds

AMOUNT: Final = "10.00"
SHORTEST_S: Final = 60
REFUND_REFUSED: Final = "10.09"  # the sandbox gateway refuses refunds of a payment that ends so
CENTAVOS: Final = 1_000
WAITING_CENTAVOS: Final = 910_011  # a payout that stays at the sandbox bank until it is settled
RECIPIENT: Final = "fulano@example.com"
BOOKED_S_MAX: Final = 20.0  # what happens at the bank is known here a moment later
LOOK_S: Final = 0.25
NOT_YET: Final = frozenset({404, 409, 422})  # unknown here still, or not at the bank yet


def trigger(
    key: Key,
    event: Annotated[str, typer.Argument(help="What should happen, e.g. payment.completed.")],
    url: Url = "http://127.0.0.1:8000",
    amount: Annotated[str, typer.Option(help="Of the payment, in major units.")] = AMOUNT,
    client_id: Annotated[str, typer.Option(envvar="OPENTILL_CLIENT_ID", help="A PIX credential, for PIX events.")] = "",
    client_secret: Annotated[str, typer.Option(envvar="OPENTILL_CLIENT_SECRET", help="Its secret.")] = "",
) -> None:
    """Make an event happen in the sandbox: a payment is really made, and the sandbox's money really moves.

    Nothing is faked, so the books, the API and every endpoint see what they would see in earnest, and other events
    come along: whoever triggers payment.completed hears of payment.pending first.

        opentill trigger payment.completed --key op_…
        opentill trigger payout.returned --client-id cli_… --client-secret sk_test_…

    What the PIX API makes (payouts, contests, receipts without a payment) needs a credential of it.
    """
    recipe = RECIPES.get(event)
    if recipe is None:
        raise Refused("UNKNOWN_EVENT", f"{event} cannot be triggered. These can: {', '.join(sorted(RECIPES))}")
    asyncio.run(_trigger(url, key, event, recipe, amount, (client_id, client_secret)))


@dataclass(slots=True)
class Doing:
    """What has been done so far."""

    client: Client
    amount: str
    credential: tuple[str, str] = ("", "")
    payment: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)  # what the PIX API answered last

    async def pix(self, path: str, **fields: Any) -> None:
        """Post to the PIX API, again while what it is about is not known there yet. Raises `Refused`."""
        client_id, secret = self.credential
        if not client_id:
            raise Refused("CREDENTIAL_NEEDED", "This event needs --client-id and --client-secret, a PIX credential.")
        limit = time.monotonic() + BOOKED_S_MAX
        said = await self.client.pix(path, fields, client_id=client_id, secret=secret)
        while said.status in NOT_YET and time.monotonic() < limit:
            await asyncio.sleep(LOOK_S)
            said = await self.client.pix(path, fields, client_id=client_id, secret=secret)
        if said.status >= 300:
            raise Refused("REFUSED", f"POST {path} answered {said.status}: {said.fields.get('detail', 'no message')}")
        self.made |= said.fields

    @property
    def page(self) -> str:
        return str(self.payment["checkout_url"])


Step = Callable[[Doing], Awaitable[None]]


async def _trigger(
    url: str, key: str, event: str, recipe: tuple[Step, ...], amount: str, credential: tuple[str, str]
) -> None:
    async with Client(url, key) as client:
        doing = Doing(client, amount, credential)
        for step in recipe:
            print(f"  {(step.__doc__ or '').rstrip('.')}", flush=True)
            await step(doing)
    named = f" of payment {doing.payment['payment_id']}" if doing.payment else ""
    print(f"{event}{named} is on its way.")


# Steps. Each docstring is what the user sees.


async def _create(doing: Doing) -> None:
    """Create a payment for a new customer."""
    await _make(doing, {})


async def _create_short(doing: Doing) -> None:
    """Create a payment that expires in a minute; its event comes then."""
    await _make(doing, {"expires_in": SHORTEST_S})


async def _make(doing: Doing, more: dict[str, Any]) -> None:
    name = SystemIds().hex(8)
    asked = {
        "amount": doing.amount,
        "currency": "BRL",
        "reference": f"trigger-{name}",
        "customer": {"name": "Ana Teste", "email": f"ana.{name}@example.com"},
        **more,
    }
    doing.payment = (await doing.client.must("POST", "/payments", asked)).data


async def _choose_card(doing: Doing) -> None:
    """Choose the sandbox gateway on the checkout page."""
    await doing.client.press(doing.page, form_ends_with="/gateway", gateway="sandbox")


async def _choose_pix(doing: Doing) -> None:
    """Choose PIX on the checkout page."""
    await doing.client.press(doing.page, form_ends_with="/gateway", gateway="pix")


async def _pay(doing: Doing) -> None:
    """Pay as the payer."""
    await doing.client.press(doing.page, form_ends_with="/payment", outcome="pay")


async def _pay_code(doing: Doing) -> None:
    """Pay the code at the sandbox bank."""
    await doing.client.press(doing.page, form_ends_with="/sandbox-bank")


async def _cancel(doing: Doing) -> None:
    """Cancel as the payer."""
    await doing.client.press(f"{doing.page}/cancel", form_ends_with="/cancel")


async def _refund(doing: Doing) -> None:
    """Refund the whole payment."""
    asked = {"transaction_id": doing.payment["transaction_id"], "reason": "opentill trigger"}
    await doing.client.must("POST", "/refunds", asked)


async def _create_final(doing: Doing) -> None:
    """Create a payment whose refunds the sandbox refuses."""
    doing.amount = REFUND_REFUSED
    await _make(doing, {})


async def _charge(doing: Doing) -> None:
    """Make a PIX charge."""
    await doing.pix("/pix/cash-in", amount=CENTAVOS)


async def _pay_charge(doing: Doing) -> None:
    """Pay it at the sandbox bank."""
    await doing.pix(f"/sandbox/charges/{doing.made['transaction_id']}/pay")


async def _contest(doing: Doing) -> None:
    """Contest it as the payer."""
    await doing.pix("/sandbox/med", end_to_end_id=doing.made["end_to_end_ids"][0])


async def _resolve(doing: Doing) -> None:
    """Decide the contest in the payer's favour."""
    await doing.pix(f"/sandbox/med/{doing.made['med_id']}/resolve", result="AGREED")


async def _fund(doing: Doing) -> None:
    """Credit test money."""
    await doing.pix("/sandbox/fund", amount=10 * WAITING_CENTAVOS)


async def _pay_out(doing: Doing) -> None:
    """Send a payout, which waits at the sandbox bank."""
    await doing.pix("/pix/cash-out", amount=WAITING_CENTAVOS, pix_key=RECIPIENT)


async def _confirm(doing: Doing) -> None:
    """Let the bank carry it out."""
    await doing.pix(f"/sandbox/payouts/{doing.made['transaction_id']}/settle", outcome="completed")


async def _refuse(doing: Doing) -> None:
    """Let the bank refuse it."""
    await doing.pix(f"/sandbox/payouts/{doing.made['transaction_id']}/settle", outcome="failed")


async def _return(doing: Doing) -> None:
    """Let the recipient's bank return it."""
    await doing.pix(f"/sandbox/payouts/{doing.made['transaction_id']}/return")


async def _test(doing: Doing) -> None:
    """Send a test to the oldest active endpoint."""
    await doing.client.must("POST", "/webhooks/tests", {})


RECIPES: Final[dict[str, tuple[Step, ...]]] = {
    "customer.created": (_create,),
    "payment.pending": (_create,),
    "payment.processing": (_create, _choose_card),
    "payment.completed": (_create, _choose_card, _pay),
    "payment.cancelled": (_create, _cancel),
    "payment.expired": (_create_short,),
    "pix.charge.created": (_create, _choose_pix),
    "pix.charge.paid": (_create, _choose_pix, _pay_code),
    "refund.created": (_create, _choose_card, _pay, _refund),
    "refund.completed": (_create, _choose_card, _pay, _refund),
    "refund.failed": (_create_final, _choose_card, _pay, _refund),
    "webhook.test": (_test,),
    "dispute.created": (_charge, _pay_charge, _contest),
    "dispute.resolved": (_charge, _pay_charge, _contest, _resolve),
    "payout.processing": (_fund, _pay_out),
    "payout.confirmed": (_fund, _pay_out, _confirm),
    "payout.failed": (_fund, _pay_out, _refuse),
    "payout.returned": (_fund, _pay_out, _confirm, _return),
    "return.received": (_fund, _pay_out, _confirm, _return),
}
