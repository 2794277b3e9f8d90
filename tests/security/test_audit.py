"""Every change an operator makes is in the audit log (bars.md S18): one scene for each write route, generated."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyotp
import pytest

from opentill.db import Database
from opentill.kernel.clock import SECOND
from opentill.operators import verification
from tests.usecases.admin.house import WRITES, House, open_house
from tests.usecases.checkout.shop import Browser

# Routes that change nothing of anybody's: a search, a sign-out, a proof of oneself. The sign-in log has the last two.
UNAUDITED = {"/m/{merchant}/developers/bench", "/sign-out", "/account/confirm"}
# What makes something new, is an act and no change, or says by its name alone what was and what is.
NOTHING_BEFORE = {
    "/account/password", "/account/factor", "/account/factor/off", "/account/factor/codes",
    "/account/sessions/{session}/end", "/m/{merchant}/payments/{payment}/sandbox",
    "/m/{merchant}/payments/{payment}/refunds", "/m/{merchant}/payments/{payment}/disputes",
    "/m/{merchant}/reviews/{item}/decision", "/m/{merchant}/payouts/new",
    "/m/{merchant}/links/new", "/m/{merchant}/invoices/new", "/m/{merchant}/customers/{customer}/erasure",
    "/m/{merchant}/accounts/new", "/m/{merchant}/accounts/{account}/credentials", "/m/{merchant}/domains",
    "/m/{merchant}/developers/endpoints/{endpoint}/tests", "/m/{merchant}/developers/endpoints/{endpoint}/replays",
    "/m/{merchant}/developers/endpoints/{endpoint}/replays/{replay}",
    "/m/{merchant}/developers/portal-links/new", "/m/{merchant}/developers/portal-links/{jti}/revocation",
    "/m/{merchant}/developers/deliveries/{delivery}/attempts", "/m/{merchant}/developers/keys",
    "/m/{merchant}/developers/keys/lock", "/m/{merchant}/developers/keys/{key}/rotation",
    "/m/{merchant}/developers/test-payments", "/m/{merchant}/developers/credentials/new", "/m/{merchant}/exports",
    "/m/{merchant}/payouts/{payout}/sandbox", "/m/{merchant}/receipts/{e2e}/contest",
    "/m/{merchant}/infractions/{infraction}/sandbox",
    "/m/{merchant}/developers/credentials/{credential}/secret", "/m/{merchant}/developers/endpoints/new",
    "/merchants", "/operators/new", "/operators/{operator}/link", "/mail/test",
}  # fmt: skip
Scene = Callable[[House, Browser], Awaitable[None]]


def pressing(place: str, button: str, **fields: str) -> Scene:
    """Open a page below /admin and press a button of it."""

    async def scene(house: House, browser: Browser) -> None:
        path = place.replace("~", f"m/{house.shop.merchant.slug}")
        for name, value in house.names.items():
            path = path.replace(f"{{{name}}}", value)
        await browser.opens(f"/admin/{path}")
        await browser.presses(button, **fields)

    return scene


async def turn_on(house: House, browser: Browser) -> None:
    await browser.opens("/admin/account/factor")
    seed = browser.page.text.partition("<p><code>")[2].partition("</code>")[0]
    await browser.presses("Turn it on", code=pyotp.TOTP(seed).at(house.shop.clock.now() // SECOND))


def after(first: Scene, second: Scene) -> Scene:
    async def scene(house: House, browser: Browser) -> None:
        await first(house, browser)
        await second(house, browser)

    return scene


async def cancel(house: House, browser: Browser) -> None:
    payment = await house.shop.orders(order_id="open")
    await browser.opens(f"{house.home}/payments/{payment.reference}")
    await browser.presses("Cancel")


async def mark_paid(house: House, browser: Browser) -> None:
    payment = await house.shop.orders(order_id="open")
    await browser.opens(f"{house.home}/payments/{payment.reference}/mark-paid")
    await browser.presses("Mark as paid", seen="99.90", ref="TED-1")


async def play(house: House, browser: Browser) -> None:
    payment = await house.shop.orders(order_id="open")
    await browser.opens(f"{house.home}/payments/{payment.reference}")
    await browser.presses("Decline it")


async def play_the_bank(house: House, browser: Browser) -> None:
    at = {"id": house.names["payout"], "now": house.shop.clock.now()}
    await house.shop.db.write(lambda tx: tx.run("update pix_payout set submitted_at = :now where id = :id", **at))
    await pressing("~/payouts/{payout}", "Let it arrive")(house, browser)


async def play_the_payer(house: House, browser: Browser) -> None:
    await browser.opens(f"{house.home}/infractions/{house.names['infraction']}")
    await browser.opens(browser.links("txn_")[0])
    await browser.presses("have the payer contest it")


async def end_other_session(house: House, browser: Browser) -> None:
    await house.browser()
    await browser.opens("/admin/account")
    await browser.presses("End")


async def invoice_sent(house: House, browser: Browser) -> None:
    await INVOICE(house, browser)
    await browser.presses("Let it be paid")


async def dispute_lost(house: House, browser: Browser) -> None:
    await CONTESTED(house, browser)
    await browser.opens(browser.links("txn_")[0])
    await browser.presses("We lost")


async def sends_a_test(house: House, browser: Browser) -> None:
    async with house.shop.deps.outbound:
        await pressing("~/developers/endpoints/{endpoint}", "Send a test")(house, browser)


async def draws_a_logo(house: House, browser: Browser) -> None:
    await browser.opens(f"{house.home}/appearance")
    [form] = [form for form in browser.forms if form.action.endswith("/logo")]
    picture = {"logo": ("logo.png", b"\x89PNG\r\n\x1a\n and so on", "image/png")}
    await browser.client.post(form.action, data=form.fields, files=picture)


PASSWORD = "cinco cavalos correm"
NEW_RULE = pressing("~/fees", "Let it hold", percent="1.99", currency="BRL", fixed="0.40", reason="new contract")
LINK = pressing("~/links/new", "Make the link", title="Workshop", amount="50.00")
INVOICE = pressing(
    "~/invoices/new", "Make the draft", customer="Ana", description0="Bread", quantity0="2", price0="9.90"
)
HOST = pressing("~/domains", "Add it", host="pay.shop.example")
PORTAL_LINK = pressing("~/developers/portal-links/new?endpoint={endpoint}", "Make the link")
REPLAYED = pressing("~/developers/endpoints/{endpoint}", "Send again", wish="missing")
CONTESTED = pressing("~/payments/{payment}", "It is contested")
TAKEN = pressing("~/reviews", "Take it")
INVITE = pressing("operators/new", "Invite", name="Bia", email="bia@loja.example", role="finance")
SCENES: dict[str, tuple[str, Scene]] = {
    "/mail/test": ("mail.test", pressing("mail", "Send me a test")),
    "/account/password": (
        "operator.password_changed",
        pressing("account/password", "Save the password", password=PASSWORD, repeated=PASSWORD),
    ),
    "/account/factor": ("operator.factor_on", turn_on),
    "/account/factor/off": ("operator.factor_off", after(turn_on, pressing("account", "Turn it off"))),
    "/account/factor/codes": (
        "operator.recovery_codes_replaced",
        after(turn_on, pressing("account", "New recovery codes")),
    ),
    "/account/sessions/{session}/end": ("session.ended", end_other_session),
    "/m/{merchant}/payments/{payment}/cancellation": ("payment.cancel_asked", cancel),
    "/m/{merchant}/payments/{payment}/mark-paid": ("payment.mark_paid", mark_paid),
    "/m/{merchant}/payments/{payment}/sandbox": ("sandbox.played", play),
    "/m/{merchant}/payments/{payment}/refunds": (
        "refund.requested",
        pressing("~/payments/{payment}/refunds", "Give it back", amount="1.00", reason="broken"),
    ),
    "/m/{merchant}/payments/{payment}/disputes": ("dispute.opened", CONTESTED),
    "/m/{merchant}/disputes/{dispute}/{action}": ("dispute.lost", dispute_lost),
    "/m/{merchant}/reviews/{item}/claim": ("review.claim", TAKEN),
    "/m/{merchant}/reviews/{item}/decision": (
        "review.approved",
        after(TAKEN, pressing("~/reviews", "Approve", seen="19.99", reason="a cent")),
    ),
    "/m/{merchant}/receipts/{receipt}/return": (
        "receipt.returned",
        after(TAKEN, pressing("~/reviews", "Return it to the payer")),
    ),
    "/m/{merchant}/payouts/new": (
        "payout.requested",
        pressing("~/payouts/new", "Send the money", recipient="bia@example.com", amount="1.50", reason="supplier"),
    ),
    "/m/{merchant}/payouts/{payout}/{decision}": (
        "payout.approve",
        pressing("~/payouts/{payout}", "Let it go"),
    ),
    "/m/{merchant}/policy": ("pix_policy.set", pressing("~/policy", "Save", payout_max="500.00")),
    "/m/{merchant}/infractions/{infraction}/defense": (
        "infraction.defended",
        pressing("~/infractions/{infraction}", "Hand the defence in", defense="Sent and received."),
    ),
    "/m/{merchant}/links/new": ("payment_link.created", LINK),
    "/m/{merchant}/links/{link}/switch": ("payment_link.off", after(LINK, pressing("~/links", "Switch off"))),
    "/m/{merchant}/invoices/new": ("invoice.created", INVOICE),
    "/m/{merchant}/invoices/{invoice}/{action}": ("invoice.send", invoice_sent),
    "/m/{merchant}/customers/{customer}/erasure": ("customer.erased", pressing("~/customers", "Erase")),
    "/m/{merchant}/appearance": (
        "merchant.appearance",
        pressing("~/appearance", "Save", name="Padaria", time_zone="America/Sao_Paulo", after_payment="receipt"),
    ),
    "/m/{merchant}/appearance/logo": ("merchant.logo", draws_a_logo),
    "/m/{merchant}/accounts/new": (
        "pix_account.attached",
        after(
            pressing("~/accounts/1", "Pause"),
            pressing(
                "~/accounts/new",
                "Attach it",
                profile="sandbox",
                client_id="shop",
                pix_keys="nova@example.com",
                bank_ispb="99999001",
            ),
        ),
    ),
    "/m/{merchant}/accounts/{account}/credentials": (
        "pix_account.renewed",
        pressing("~/accounts/1", "Replace", client_id="shop", client_secret="cavalos"),
    ),
    "/m/{merchant}/accounts/{account}/{action}": ("pix_account.pause", pressing("~/accounts/1", "Pause")),
    "/m/{merchant}/domains": ("domain.added", HOST),
    "/m/{merchant}/domains/{host}/{action}": ("domain.remove", after(HOST, pressing("~/domains", "Remove"))),
    "/m/{merchant}/options": ("merchant.options", pressing("~/options", "Save", duplicate_guard_minutes="10")),
    "/settings": ("install.changed", pressing("settings", "Save", cors_origins="https://shop.example")),
    "/m/{merchant}/developers/endpoints/{endpoint}/secret": (
        "webhook.rotate_secret",
        pressing("~/developers/endpoints/{endpoint}", "Make a new secret", overlap="day"),
    ),
    "/m/{merchant}/developers/portal-links/new": ("portal_link.create", PORTAL_LINK),
    "/m/{merchant}/developers/portal-links/{jti}/revocation": (
        "portal_link.revoke",
        after(PORTAL_LINK, pressing("~/developers/portal-links", "End it")),
    ),
    "/m/{merchant}/developers/signing-keys": (
        "webhook.rotate_signing_key",
        pressing("~/developers/signing-keys", "Make a new key pair"),
    ),
    "/m/{merchant}/developers/endpoints/{endpoint}/settings": (
        "webhook.change",
        pressing("~/developers/endpoints/{endpoint}/settings", "Save", url="https://other.example/"),
    ),
    "/m/{merchant}/developers/endpoints/{endpoint}/tests": (
        "webhook.test",
        sends_a_test,
    ),
    "/m/{merchant}/developers/endpoints/{endpoint}/replays": ("webhook.replay", REPLAYED),
    "/m/{merchant}/developers/endpoints/{endpoint}/replays/{replay}": (
        "webhook.replay.cancel",
        after(REPLAYED, pressing("~/developers/endpoints/{endpoint}", "Stop")),
    ),
    "/m/{merchant}/developers/deliveries/{delivery}/attempts": (
        "delivery.resend",
        pressing("~/developers/deliveries/{delivery}", "Try once more now"),
    ),
    "/m/{merchant}/developers/keys": (
        "api_key.created",
        pressing("~/developers/keys/new", "Generate key", label="Shop", scope="read"),
    ),
    "/m/{merchant}/developers/keys/{key}/revoke": (
        "api_key.revoked",
        pressing("~/developers/keys/{key}/revoke", "Revoke the key", label="Shop", reason="lost"),
    ),
    "/m/{merchant}/developers/keys/lock": ("api_key.all_locked", pressing("~/developers/keys", "Lock all keys")),
    "/m/{merchant}/developers/keys/{key}/rotation": (
        "api_key.rotated",
        pressing("~/developers/keys/{key}", "Make the new key", overlap="day"),
    ),
    "/m/{merchant}/developers/keys/{key}/scopes": (
        "api_key.narrowed",
        pressing("~/developers/keys/{key}", "Keep only these", scope="read"),
    ),
    "/m/{merchant}/developers/keys/{key}/limits": (
        "api_key.limited",
        pressing("~/developers/keys/{key}", "Save", rate_limit="600", allowed_ips="203.0.113.0/24"),
    ),
    "/m/{merchant}/developers/keys/{key}/{action}": ("api_key.locked", pressing("~/developers/keys/{key}", "Lock")),
    "/m/{merchant}/developers/test-payments": ("sandbox.payment_created", pressing("~/developers", "Make it")),
    "/m/{merchant}/developers/credentials/new": (
        "pix_credential.created",
        pressing("~/developers/credentials/new", "Make the credential", label="ERP", permission="payment:read"),
    ),
    "/m/{merchant}/developers/credentials/{credential}/access": (
        "pix_credential.changed",
        pressing("~/developers/credentials/{credential}", "Save", permission="payment:read", allowed_ips="203.0.113.7"),
    ),
    "/m/{merchant}/developers/credentials/{credential}/secret": (
        "pix_credential.rotated",
        pressing("~/developers/credentials/{credential}", "Make a new secret", overlap="week"),
    ),
    "/m/{merchant}/developers/credentials/{credential}/revocation": (
        "pix_credential.revoked",
        pressing("~/developers/credentials", "Revoke"),
    ),
    "/m/{merchant}/developers/endpoints/new": (
        "webhook.create",
        pressing("~/developers/endpoints/new", "Add the endpoint", url="https://other.example/", dialect="merchant"),
    ),
    "/m/{merchant}/developers/endpoints/{endpoint}/{action}": (
        "webhook.pause",
        pressing("~/developers/endpoints/{endpoint}", "Pause"),
    ),
    "/m/{merchant}/gateways/{gateway}/{action}": ("gateway.off", pressing("~/gateways", "Switch off")),
    "/m/{merchant}/gateways/manual": (
        "gateway.manual_saved",
        pressing("~/gateways/manual", "Save", name="Transfer", slug="transfer", account_number="1234-5"),
    ),
    "/m/{merchant}/gateways/{gateway}/terms": (
        "gateway.terms",
        pressing("~/gateways/{gateway}/terms", "Save", name="Card", currency="BRL", least="1.00", most="500"),
    ),
    "/m/{merchant}/fees": ("fee_rule.set", NEW_RULE),
    "/m/{merchant}/fees/{rule}/end": ("fee_rule.ended", after(NEW_RULE, pressing("~/fees", "End"))),
    "/m/{merchant}/exports": ("export.started", pressing("~/exports", "Write it", sheet="ledger")),
    "/m/{merchant}/payouts/{payout}/sandbox": ("sandbox.played", play_the_bank),
    "/m/{merchant}/receipts/{e2e}/contest": ("sandbox.played", play_the_payer),
    "/m/{merchant}/infractions/{infraction}/sandbox": (
        "sandbox.played",
        pressing("~/infractions/{infraction}", "Disagree"),
    ),
    "/rates": ("rate.set", pressing("rates", "Use it for a day", base="USD", quote="BRL", rate="5.4321")),
    "/merchants": ("merchant.created", pressing("merchants/new", "Make the merchant", name="Loja Nova")),
    "/operators/new": ("operator.invited", INVITE),
    "/operators/role": (
        "role.saved",
        pressing("operators/role", "Save the role", name="Night shift", permission="payments.view"),
    ),
    "/operators/{operator}/link": ("operator.link_made", after(INVITE, pressing("operators/2", "New password link"))),
    "/operators/{operator}/roles": (
        "operator.role_changed",
        after(INVITE, pressing("operators/2", "Save", role="support", merchant="")),
    ),
    "/operators/{operator}/{action}": ("operator.disable", after(INVITE, pressing("operators/2", "Disable"))),
}


def test_every_write_route_has_a_scene() -> None:
    assert {screen.path for screen in WRITES} - UNAUDITED == set(SCENES)


@pytest.mark.bar("S18", part="operators")
@pytest.mark.parametrize("path", SCENES)
async def test_a_change_is_in_the_log_with_who_from_where_and_why(
    database: Database, tmp_path: Path, path: str
) -> None:
    house = await open_house(database, tmp_path, trusted_proxies="127.0.0.1")
    browser = await house.browser(**{"x-forwarded-for": "203.0.113.77"})
    action, scene = SCENES[path]

    await scene(house, browser)

    rows = await database.read(
        lambda tx: tx.all("select * from audit_entry where action = :action order by id desc", action=action)
    )
    assert rows, browser.text[:400]
    entry = rows[0]
    assert (entry["actor"], entry["origin"]) == ("operator:1", "203.0.113.77")
    assert entry["subject"]
    assert entry["merchant_id"] == (house.shop.merchant.id if path.startswith("/m/") else None)
    assert "cavalos" not in entry["detail"]
    assert ("before" in json.loads(entry["detail"])) == (path not in NOTHING_BEFORE), entry["detail"]
    assert await database.read(lambda tx: list(verification.find_faults(tx))) == []


async def test_a_reason_is_kept_with_the_change(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await NEW_RULE(house, browser)
    await browser.opens(f"{house.home}/audit")
    assert "new contract" in browser.text
    assert "Ana" in browser.text
