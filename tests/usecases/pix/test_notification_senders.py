"""A bank that proves its notifications with a certificate, or calls from one network only: others are refused."""

import json
from base64 import b64encode
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from opentill.kernel.clock import DAY
from opentill.payments.pix import flow as pix_flow
from opentill.pix import accounts
from opentill.pix.identifiers import provider_txid
from opentill.pix.model import State
from opentill.sandbox_psp.certs import make_certificates
from tests.usecases.pix.shop import Shop

pytestmark = [pytest.mark.anyio, pytest.mark.checklist("L11")]

PROXY = "203.0.113.9"  # as the requests of a test come from
HEADER = "X-Client-Certificate"


class Sender:
    """The certificates of one authority, and how a proxy passes them on."""

    def __init__(self, folder: Any, now: Any) -> None:
        make_certificates(folder, ["bank.example.com"], now)
        self.roots = (folder / "ca.pem").read_text()
        self.notifier, self.server = (folder / "notifier.pem").read_bytes(), (folder / "server.pem").read_bytes()


async def checking(shop: Shop, sender: Sender, auth: str = "client_certificate = true") -> tuple[Any, str]:
    """Have the shop's bank notify with a certificate; return a paid charge and the notification's address."""
    shipped = (files("opentill.pix") / "profiles" / "sandbox.toml").read_text()
    folder = shop.folder / "banks"
    folder.mkdir(exist_ok=True)
    (folder / "sandbox.toml").write_text(
        shipped.replace("[environments", f"[webhook_auth]\n{auth}\n\n[environments", 1)
    )
    shop.settings = {"trusted_proxies": PROXY, "client_certificate_header": HEADER}
    await shop.starts_again()
    profile = shop.banks.profiles.load("sandbox", shop.merchant.mode)
    changed = {"hook_roots": sender.roots}
    await shop.db.write(
        lambda tx: accounts.renew(
            tx, shop.account_id, changed, profile, keyring=shop.scene.keyring, now=shop.clock.now()
        )
    )
    charge = await shop.charges(expires_in_s=10 * 86_400)
    [e2e_id] = await shop.payer_pays(charge, notify="never")
    shop.body = json.dumps({"pix": [{"endToEndId": e2e_id, "txid": provider_txid(charge.id)}]}).encode()  # type: ignore[attr-defined]
    url, _ = await shop.hook()
    return charge, url


@pytest.fixture
def sender(shop: Shop, tmp_path: Any) -> Sender:
    return Sender(tmp_path / "certs", shop.clock.now())


@pytest.mark.parametrize("form", ["escaped", "colons", "bare"])
async def test_the_banks_certificate_lets_a_notification_in_however_a_proxy_writes_it(
    shop: Shop, sender: Sender, form: str
) -> None:
    der = b64encode(x509.load_pem_x509_certificate(sender.notifier).public_bytes(Encoding.DER)).decode()
    written = {"escaped": quote(sender.notifier.decode()), "colons": f":{der}:", "bare": der}[form]
    charge, url = await checking(shop, sender)

    assert await shop.tell(url, shop.body, headers={HEADER: written}) == 200
    await pix_flow.confirm_due_hints(shop.tools)
    assert await shop.state(charge) is State.COMPLETED


async def test_every_other_sender_is_refused_and_nothing_is_kept(shop: Shop, sender: Sender, tmp_path: Any) -> None:
    stranger = Sender(tmp_path / "strange", shop.clock.now())
    _, url = await checking(shop, sender)
    good = quote(sender.notifier.decode())
    for headers, peer in (
        ({}, PROXY),
        ({HEADER: ""}, PROXY),
        ({HEADER: "rubbish"}, PROXY),
        ({HEADER: "-----BEGIN CERTIFICATE-----"}, PROXY),
        ({HEADER: quote(stranger.notifier.decode())}, PROXY),
        ({HEADER: quote(sender.server.decode())}, PROXY),  # the same authority, but it stands for no client
        ({HEADER: good}, "198.51.100.1"),  # past the proxy, anybody can write the header
    ):
        assert await shop.tell(url, shop.body, headers=headers, peer=peer) == 401
    shop.passes(1_000 * DAY)
    assert await shop.tell(url, shop.body, headers={HEADER: good}) == 401  # it has run out
    assert await shop.rows("select id from provider_callback") == []
    assert await shop.rows("select id from pix_hint") == []


async def test_an_operator_may_do_without_the_certificate(shop: Shop, sender: Sender) -> None:
    _, url = await checking(shop, sender)
    profile = shop.banks.profiles.load("sandbox", shop.merchant.mode)
    unchecked = {accounts.UNCHECKED: "yes"}
    now = shop.clock.now()
    await shop.db.write(
        lambda tx: accounts.renew(tx, shop.account_id, unchecked, profile, keyring=shop.scene.keyring, now=now)
    )
    assert await shop.tell(url, shop.body) == 200


async def test_a_bank_that_calls_from_one_network_is_not_heard_from_another(shop: Shop, sender: Sender) -> None:
    _, url = await checking(shop, sender, 'sources = ["192.0.2.0/28"]')
    assert await shop.tell(url, shop.body, headers={"X-Forwarded-For": "192.0.2.7"}) == 200
    assert await shop.tell(url, shop.body, headers={"X-Forwarded-For": "192.0.2.70"}) == 401
    assert await shop.tell(url, shop.body, headers={"X-Forwarded-For": "192.0.2.7"}, peer="198.51.100.1") == 401
