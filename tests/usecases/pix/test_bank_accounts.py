"""Attaching, renewing, pausing and removing a merchant's bank account, and what of it anybody can read afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from opentill.db import Tx
from opentill.kernel.clock import DAY, MINUTE
from opentill.kernel.errors import Conflict, Invalid, NotFound, Refused
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.payments.pix import flow as pix_flow
from opentill.payments.pix.removal import remove_account
from opentill.pix import accounts, queries
from opentill.pix import service as pix
from opentill.pix.accounts import BankForm
from opentill.pix.flow import probe, register_hooks
from opentill.pix.keys import detect
from opentill.pix.model import State
from opentill.pix.policy import change_policy, policy_of
from opentill.pix.providers.bacen import load_profile
from opentill.sandbox_psp.certs import make_certificates
from tests.fakes.authority import Authority
from tests.usecases.pix.shop import KEY, PUBLIC_URL, Shop

pytestmark = pytest.mark.anyio

AUTHORITY = Authority()
CERTIFICATE, PRIVATE_KEY = AUTHORITY.client_certificate("loja.example.com")
LIVE = {
    "client_id": "id-at-the-bank",
    "client_secret": "secret-at-the-bank",
    "certificate": CERTIFICATE,
    "key": PRIVATE_KEY,
    "hook_roots": AUTHORITY.roots,
}
OTHER = detect("loja@example.com")


async def attach(shop: Shop, profile: str = "inter", **changed: Any) -> int:
    """Attach a live account to the shop's merchant."""
    credentials = LIVE | changed.pop("credentials", {})
    form = BankForm(**{"profile": profile, "credentials": credentials, "keys": [detect(KEY)]} | changed)
    owner = Owner(shop.merchant.id, Mode.LIVE)

    def make(tx: Tx) -> int:
        return accounts.attach(
            tx,
            form,
            load_profile(profile, Mode.LIVE),
            owner=owner,
            merchant_uuid=shop.merchant.uuid,
            ids=shop.scene.ids,
            keyring=shop.scene.keyring,
            now=shop.clock.now(),
        )

    return await shop.db.write(make)


async def test_an_account_is_stored_sealed_with_the_banks_own_name_and_number(shop: Shop) -> None:
    account_id = await attach(shop)

    [row] = await shop.rows("select * from pix_account where id = :id", id=account_id)
    assert (row["profile"], row["bank_name"], row["bank_ispb"], row["mode"]) == ("inter", "Banco Inter", "00416968", 0)
    stored = json.dumps({name: str(row[name]) for name in row.keys()})  # noqa: SIM118 - a row is no mapping
    assert not any(secret in stored for secret in ("secret-at-the-bank", "BEGIN", "id-at-the-bank"))
    account = await shop.db.read(lambda tx: accounts.found(tx, account_id))
    assert pix.credentials_of(account, shop.scene.keyring) == LIVE


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"certificate": "", "key": ""}, "NO_CERTIFICATE"),
        ({"key": ""}, "NO_CERTIFICATE"),
        ({"key": AUTHORITY.client_certificate("other.example.com")[1]}, "BAD_CERTIFICATE"),
        ({"certificate": "no certificate"}, "BAD_CERTIFICATE"),
        ({"client_id": ""}, "NO_CLIENT_ID"),
        ({"hook_roots": ""}, "NO_HOOK_ROOTS"),
        ({"hook_roots": CERTIFICATE}, "BAD_HOOK_ROOTS"),
        ({"colour": "blue"}, "UNKNOWN_CREDENTIAL"),
    ],
)
async def test_what_the_bank_would_not_take_is_refused_before_anything_is_stored(
    shop: Shop, credentials: dict[str, str], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await attach(shop, credentials=credentials)
    assert refused.value.code == code
    assert await shop.rows("select id from pix_account where mode = 0") == []


async def test_a_certificate_that_has_run_out_is_refused(shop: Shop, tmp_path: Path) -> None:
    make_certificates(tmp_path / "certs", ["localhost"], shop.clock.now())
    files = {"certificate": "client.pem", "key": "client.key"}
    credentials = {name: (tmp_path / "certs" / file).read_text() for name, file in files.items()}
    shop.passes(1_000 * DAY)
    with pytest.raises(Refused) as refused:
        await attach(shop, credentials=credentials)
    assert refused.value.code == "CERTIFICATE_EXPIRED"


async def test_an_account_needs_a_key_that_leads_nowhere_else(shop: Shop) -> None:
    with pytest.raises(Refused, match="needs a PIX key"):
        await attach(shop, keys=[])
    account_id = await attach(shop)
    with pytest.raises(Conflict, match="Pause it first"):
        await attach(shop, keys=[OTHER])
    await shop.db.write(lambda tx: accounts.pause(tx, account_id))
    with pytest.raises(Conflict, match="leads to an account already"):
        await attach(shop)
    second = await attach(shop, keys=[OTHER])
    with pytest.raises(Conflict, match="another bank account at work"):
        await shop.db.write(lambda tx: accounts.resume(tx, account_id))
    assert second > account_id


async def test_a_new_certificate_replaces_the_old_one_in_whichever_form_it_came(shop: Shop) -> None:
    account_id = await attach(shop)
    certificate, key = AUTHORITY.client_certificate("loja.example.com")
    profile = load_profile("inter", Mode.LIVE)

    def renew(tx: Tx, **changed: str) -> None:
        accounts.renew(tx, account_id, changed, profile, keyring=shop.scene.keyring, now=shop.clock.now())

    await shop.db.write(lambda tx: renew(tx, certificate=certificate, key=key))
    with pytest.raises(Refused):
        await shop.db.write(lambda tx: renew(tx, certificate=CERTIFICATE))  # without its key

    account = await shop.db.read(lambda tx: accounts.found(tx, account_id))
    assert pix.credentials_of(account, shop.scene.keyring) == LIVE | {"certificate": certificate, "key": key}


async def test_a_new_secret_is_used_by_a_running_process_with_its_next_call(shop: Shop) -> None:
    await shop.charges()
    account = await shop.db.read(lambda tx: accounts.found(tx, shop.account_id))
    profile = load_profile("sandbox", Mode.SANDBOX)

    def renew(tx: Tx, secret: str) -> None:
        now = shop.clock.now()
        accounts.renew(tx, account.id, {"client_secret": secret}, profile, keyring=shop.scene.keyring, now=now)

    await shop.db.write(lambda tx: renew(tx, "wrong"))
    account = await shop.db.read(lambda tx: accounts.found(tx, shop.account_id))
    tried = {finding.name: finding for finding in await probe(shop.banks, account, clock=shop.clock)}
    assert not tried["authorisation"].fine
    assert tried["authorisation"].detail == "credentials refused"

    await shop.db.write(lambda tx: renew(tx, "shop-secret"))
    account = await shop.db.read(lambda tx: accounts.found(tx, shop.account_id))
    found = await probe(shop.banks, account, clock=shop.clock)
    assert {finding.name: finding.fine for finding in found} == {
        "authorisation": True,
        "receipts": True,
        "payouts": True,
    }
    told = await register_hooks(shop.db, shop.banks, account, public_url=PUBLIC_URL, keyring=shop.scene.keyring)
    assert [finding.fine for finding in told] == [True]


async def test_a_paused_account_takes_no_new_charge_and_books_what_still_arrives(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=86_400)
    await shop.db.write(lambda tx: accounts.pause(tx, shop.account_id))
    with pytest.raises(Refused, match="No active PIX key"):
        await shop.charges()

    await shop.payer_pays(charge, notify="never")
    await shop.sweeps()
    assert await shop.state(charge) is State.COMPLETED

    await shop.db.write(lambda tx: accounts.resume(tx, shop.account_id))
    assert (await shop.charges()).state is State.ACTIVE


async def test_an_account_is_removed_only_once_everything_through_it_is_over(shop: Shop) -> None:
    charge = await shop.charges(expires_in_s=60)
    with pytest.raises(Conflict, match="at work"):
        await shop.db.write(lambda tx: remove_account(tx, shop.account_id, now=shop.clock.now()))
    await shop.db.write(lambda tx: accounts.pause(tx, shop.account_id))
    with pytest.raises(Conflict, match="1 charges"):
        await shop.db.write(lambda tx: remove_account(tx, shop.account_id, now=shop.clock.now()))

    for _ in range(3):
        shop.passes(20 * MINUTE)
        await shop.looks()
    assert await shop.state(charge) is State.EXPIRED
    url, _ = await shop.hook()
    await shop.db.write(lambda tx: remove_account(tx, shop.account_id, now=shop.clock.now()))

    [row] = await shop.rows("select * from pix_account where id = :id", id=shop.account_id)
    assert (row["sealed_credentials"], row["sealed_hook_token"], row["active"]) == ("", "", 0)
    assert await shop.tell(url, b'{"pix": []}') == 401
    with pytest.raises(NotFound):
        await shop.db.read(lambda tx: accounts.found(tx, shop.account_id))
    [line] = await shop.db.read(lambda tx: queries.account_lines(tx, owner=shop.merchant.owner))
    assert (line.status, line.keys) == ("removed", ())
    await pix_flow.sweep(shop.tools)


async def test_keys_are_added_and_removed(shop: Shop) -> None:
    now = shop.clock.now()
    await shop.db.write(lambda tx: accounts.add_key(tx, shop.account_id, OTHER, now=now))
    assert await shop.db.read(lambda tx: pix.keys_of(tx, accounts.found(tx, shop.account_id))) == [KEY, OTHER.value]
    with pytest.raises(Conflict):
        await shop.db.write(lambda tx: accounts.add_key(tx, shop.account_id, OTHER, now=now))
    await shop.db.write(lambda tx: accounts.remove_key(tx, shop.account_id, OTHER))
    with pytest.raises(NotFound):
        await shop.db.write(lambda tx: accounts.remove_key(tx, shop.account_id, OTHER))


async def test_a_charge_outside_the_merchants_limits_is_refused(shop: Shop) -> None:
    limits = {"charge_min_units": 50_000, "charge_max_units": 1_000_000}
    await shop.db.write(lambda tx: change_policy(tx, limits, owner=shop.merchant.owner))
    for amount in ("4.99", "100.01"):
        with pytest.raises(Refused, match="Transaction limit exceeded"):
            await shop.charges(amount)
    for amount in ("5.00", "100.00"):
        assert (await shop.charges(amount)).state is State.ACTIVE


async def test_a_policy_changes_in_part_and_never_to_nonsense(shop: Shop) -> None:
    owner = shop.merchant.owner
    await shop.allows(payout_max_units=7)
    changed = await shop.db.write(lambda tx: change_policy(tx, {"approve_from_units": 30_000}, owner=owner))
    assert (changed.payout_max_units, changed.approve_from_units) == (7, 30_000)
    for nonsense in (
        {"charge_min_units": 2, "charge_max_units": 1},
        {"refund_within_days": 91},
        {"approve_within_s": 0},
        {"payout_day_units": -1},
        {"payouts_per_minute": 0},
        {"block_from_units": None},
    ):
        with pytest.raises(Invalid):
            await shop.db.write(lambda tx, wrong=nonsense: change_policy(tx, wrong, owner=owner))
    assert await shop.db.read(lambda tx: policy_of(tx, owner=owner)) == changed
