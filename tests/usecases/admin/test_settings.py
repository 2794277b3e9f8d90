"""Settings in the panel: they hold, what is wrong is said, and secrets and pictures are handled with care."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificates

from opentill.db import Database
from opentill.kernel.clock import HOUR
from opentill.merchants import brands, gateways, options
from opentill.operators import install
from opentill.payments import conversion
from opentill.pix import accounts
from opentill.pix import queries as rail
from opentill.pix import service as rail_service
from opentill.pix.providers.certificates import ROUNDS_MAX
from tests.fakes.authority import Authority
from tests.usecases.admin.house import House, open_house
from tests.usecases.checkout.shop import Browser

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


async def uploads(house: House, browser: Browser, content: bytes, kind: str = "image/png") -> int:
    await browser.opens(f"{house.home}/appearance")
    [form] = [form for form in browser.forms if form.action.endswith("/logo")]
    answer = await browser.client.post(form.action, data=form.fields, files={"logo": ("x", content, kind)})
    return answer.status_code


async def test_a_logo_is_judged_by_its_content_and_served_as_what_it_is(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    owner = house.shop.merchant.owner

    assert await uploads(house, browser, PNG, "text/html") == 303
    digest = (await database.read(lambda tx: brands.brand_of(tx, owner))).logo_digest
    served = await browser.client.get(f"/checkout/logo/{digest}")
    assert (served.headers["content-type"], served.headers["x-content-type-options"]) == ("image/png", "nosniff")

    assert await uploads(house, browser, b"<svg onload=alert(1)>", "image/png") == 422
    assert await uploads(house, browser, PNG + b"0" * brands.LOGO_BYTES_MAX) == 422
    assert await uploads(house, browser, PNG + b"0" * 2**20) == 413
    assert (await database.read(lambda tx: brands.brand_of(tx, owner))).logo_digest == digest
    assert await uploads(house, browser, b"") == 303
    assert (await database.read(lambda tx: brands.brand_of(tx, owner))).logo_digest is None


async def test_options_hold_and_what_is_none_is_refused(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    fields = {"late_payments": "review", "redirect_fallback": "receipt", "dialect": "auto"}
    await browser.opens(f"{house.home}/options")
    await browser.presses("Save", **fields, duplicate_guard_minutes="9999")
    assert browser.page.status_code == 422
    await browser.presses("Save", **fields, duplicate_guard_minutes="15", refund_balance_check="1")
    chosen = await database.read(lambda tx: options.of_merchant(tx, house.shop.merchant.owner))
    assert (chosen.late_payments, chosen.duplicate_guard_minutes, chosen.refund_balance_check) == ("review", 15, True)
    await browser.opens(f"{house.home}/options")
    await browser.presses("Save", **fields | {"dialect": "klingon"})
    assert "dialect cannot be 'klingon'." in browser.text


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/path", "javascript://x", "*", "null"])
async def test_only_origins_are_opened_to_browsers(database: Database, tmp_path: Path, origin: str) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens("/admin/settings")
    await browser.presses("Save", maintenance="1", cors_origins=f"https://shop.example\n{origin}")
    assert browser.page.status_code == 422
    assert (await database.read(install.read)).cors_origins == ()
    await browser.presses("Save", maintenance="1", cors_origins="https://shop.example\nhttp://127.0.0.1:3000")
    switches = await database.read(install.read)
    assert (switches.maintenance, switches.cors_origins) == (True, ("https://shop.example", "http://127.0.0.1:3000"))


async def test_a_bank_account_is_paused_replaced_and_its_secrets_are_never_shown(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    entered = {"profile": "sandbox", "client_id": "shop-2", "client_secret": "quatro-cavalos", "bank_ispb": "99999001"}

    await browser.opens(f"{house.home}/accounts/new")
    await browser.presses("Attach it", **entered, pix_keys="nova@example.com")
    assert "has a bank account at work" in browser.text
    assert "quatro-cavalos" not in browser.page.text
    await browser.opens(f"{house.home}/accounts/1")
    await browser.presses("Pause")
    await browser.opens(f"{house.home}/accounts/new")
    await browser.presses("Attach it", **entered, pix_keys="nobody")
    assert "One of these is no PIX key." in browser.text
    assert "quatro-cavalos" not in browser.page.text
    await browser.presses("Attach it", **entered, pix_keys="nova@example.com")
    assert "nova@example.com" in browser.text
    assert "quatro-cavalos" not in browser.page.text
    await browser.presses("Add the key", pix_key="nobody")
    assert browser.page.status_code == 422
    await browser.presses("Remove")

    lines = await database.read(lambda tx: rail.account_lines(tx, owner=house.shop.merchant.owner))
    assert [(line.status, len(line.keys)) for line in lines] == [("paused", 1), ("active", 0)]
    rows = await database.read(lambda tx: tx.all("select detail from audit_entry"))
    assert not [row for row in rows if "cavalos" in row["detail"]]


async def test_a_rate_is_set_for_a_day_and_what_it_was_is_noted(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens("/admin/rates")
    assert "No rates yet" in browser.text
    await browser.presses("Use it for a day", base="usd", quote="brl", rate="5,4321")
    await browser.presses("Use it for a day", base="USD", quote="BRL", rate="5.5", reason="feed is late")
    assert "1 USD 5.5 BRL an operator" in browser.text
    [entry] = await database.read(
        lambda tx: tx.all("select detail from audit_entry where action = 'rate.set' and reason = 'feed is late'")
    )
    assert json.loads(entry["detail"]) == {"before": "5.4321", "after": "5.5"}

    house.shop.clock.advance(3 * HOUR)
    browser = await house.browser()
    assert "in use 3 hours ago" in (await browser.opens("/admin/rates")).text
    house.shop.clock.advance(21 * HOUR)
    browser = await house.browser()
    assert "too old 1 day ago" in (await browser.opens("/admin/rates")).text


async def test_what_is_no_rate_is_said_beside_its_field_in_the_reader_s_language(
    database: Database, tmp_path: Path
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser(**{"accept-language": "pt"})
    await browser.opens("/admin/rates")
    await browser.presses("Usar por um dia", base="XXZ", quote="XXY", rate="zero")
    assert browser.page.status_code == 422
    for said in ("XXZ não é uma moeda", "XXY não é uma moeda", "Uma cotação é um decimal acima de zero"):
        assert said in browser.text
    await browser.presses("Usar por um dia", base="USD", quote="USD", rate="1")
    assert "Indique duas moedas diferentes." in browser.text
    assert await database.read(conversion.rates) == []


async def test_a_refusal_names_what_it_is_about_in_the_reader_s_language(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser(**{"accept-language": "es"})
    await browser.opens(f"{house.home}/accounts/1")
    [key] = (await database.read(lambda tx: rail.account_lines(tx, owner=house.shop.merchant.owner)))[0].keys
    [form] = [form for form in browser.forms if form.action.endswith("/add-key")]
    await browser.sends(form.action, form.fields | {"pix_key": key})
    assert f"La clave {key} ya lleva a una cuenta." in browser.text

    await browser.opens(f"{house.home}/payments/{house.names['payment']}/refunds")
    [form] = [form for form in browser.forms if form.action.endswith("/refunds")]
    await browser.sends(form.action, form.fields | {"amount": "100.00"})
    assert "Solo quedan 99,90 BRL por devolver." in browser.text


def packed(authority: Authority, password: str, *, rounds: int = 2_000) -> bytes:
    """Return a certificate with its key as one PKCS#12 file, each of them hardened by so many rounds."""
    chain, key = authority.client_certificate("opentill.example.com")
    [certificate, *others] = load_pem_x509_certificates(chain.encode())
    return pkcs12.serialize_key_and_certificates(
        b"bank",
        load_pem_private_key(key.encode(), None),  # type: ignore[arg-type]
        certificate,
        others,
        PrivateFormat.PKCS12.encryption_builder().kdf_rounds(rounds).build(password.encode()),
    )


async def test_a_certificate_that_takes_too_long_to_open_is_refused_unopened(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    file = packed(Authority(), "senha", rounds=ROUNDS_MAX // 2)  # of its certificate, its key and its seal
    monkeypatch.setattr(pkcs12, "load_key_and_certificates", None)
    before = await database.read(lambda tx: tx.all("select sealed_credentials from pix_account"))

    for language, said in (("pt-BR", "demora demais"), ("es", "tarda demasiado"), ("en", "more than 1000000 rounds")):
        await browser.opens(f"{house.home}/accounts/1?lang={language}")
        [form] = [form for form in browser.forms if form.action.endswith("/credentials")]
        fields = {name: text for name, text in form.fields.items() if name != "p12"} | {"p12_password": "senha"}
        browser.page = await browser.client.post(form.action, data=fields, files={"p12": ("bank.p12", file)})
        assert browser.page.status_code == 422
        assert said in browser.text

        await browser.opens(f"{house.home}/accounts/1")
        more = f"p12={b64encode(file).decode()}\np12_password=senha"
        await browser.sends(form.action, fields | {"client_id": "shop", "client_secret": "s3", "more": more})
        assert browser.page.status_code == 422
        assert said in browser.text
    assert await database.read(lambda tx: tx.all("select sealed_credentials from pix_account")) == before


async def test_a_certificate_is_uploaded_as_the_bank_hands_it_out(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    file = packed(Authority(), "senha com espaço ")

    async def uploads(content: bytes, password: str) -> str:
        await browser.opens(f"{house.home}/accounts/1")
        [form] = [form for form in browser.forms if form.action.endswith("/credentials")]
        fields = form.fields | {"client_id": "shop", "client_secret": "s3", "p12_password": password}
        del fields["p12"]
        answer = await browser.client.post(form.action, data=fields, files={"p12": ("bank.p12", content)})
        browser.page = answer
        return f"{answer.status_code} {browser.text}"

    async def kept() -> dict[str, str]:
        account = await database.read(lambda tx: accounts.found(tx, 1))
        return rail_service.credentials_of(account, house.shop.deps.keyring)

    before = await kept()
    for content, password in ((file, "senha"), (b"garbage", ""), (b"\0" * 1000, "x")):
        said = await uploads(content, password)
        assert said.startswith("422")
        assert "its password is wrong, or it is another kind of file." in said
        assert await kept() == before
    assert (await uploads(b"x" * 2**20, "")).startswith("413")

    assert (await uploads(file, "senha com espaço ")).startswith("303")
    after = await kept()
    assert after["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert after["key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert after.keys() - before.keys() == {"certificate", "key", "client_id", "client_secret"}
    rows = await database.read(
        lambda tx: tx.all("select detail from audit_entry union select sealed_credentials from pix_account")
    )
    assert not [row for row in rows if "PRIVATE" in row["detail"] or "senha" in row["detail"]]


async def test_a_gateway_has_limits_and_a_currency_and_what_is_none_is_said(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    place, owner = f"{house.home}/gateways/sandbox/terms", house.shop.merchant.owner
    await browser.opens(place)
    for wrong, said in (
        ({"least": "10", "most": "5", "currency": "BRL"}, "The largest amount is below the smallest."),
        ({"least": "10", "currency": ""}, "An amount needs a currency."),
        ({"currency": "XXZ"}, "Enter a currency such as BRL"),
        ({"name": ""}, "Enter a name"),
    ):
        await browser.opens(place)
        await browser.presses("Save", **{"name": "Card"} | wrong)
        assert (browser.page.status_code, said in browser.text) == (422, True)
    await browser.opens(place)
    await browser.presses("Save", name="Card", currency="BRL", least="2,50", most="80")
    [way] = [one for one in await database.read(lambda tx: gateways.active(tx, owner=owner)) if one.slug == "sandbox"]
    assert (way.name, way.currency, way.min_units, way.max_units) == ("Card", "BRL", 25_000, 800_000)
    await browser.opens(place)
    assert 'value="2.50"' in browser.page.text
    assert (await browser.client.get(f"{house.home}/gateways/none/terms")).status_code == 404


async def test_the_audit_log_is_narrowed_by_what_and_of_what(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    await browser.opens(f"{house.home}/options")
    await browser.presses("Save", late_payments="review", redirect_fallback="receipt", dialect="auto")
    await browser.opens(f"{house.home}/audit?action=merchant.options")
    assert "merchant.options" in browser.text
    await browser.opens(f"{house.home}/audit?action=api_key.created")
    assert "Nothing yet." in browser.text
