"""Every code a caller can meet is documented with cause and cure, and every answer to a refusal has all it must (U7).

The table of meanings is held against the source: codes are read where something is refused.
"""

import ast
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import opentill
from opentill.api.merchant import errors
from opentill.api.merchant.call import MerchantCall
from opentill.db import Database
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Busy, Conflict, Fault, Forbidden, Invalid, NotFound, Refused
from opentill.kernel.money import currency, parse
from opentill.portal.documents import create_documents_app
from opentill.web.error_codes import BY_CODE, MEANINGS
from opentill.web.formats import money
from opentill.web.languages import load
from tests.usecases.admin.house import open_house

SOURCE: Final = Path(opentill.__file__).parent
NO_CALLER_S: Final = ("admin", "checkout", "cli", "operators", "portal", "sandbox_psp")
"""What is refused in these is told on the page or the console itself, which shows no code."""
AT: Final = dict.fromkeys(("Refused", "NotFound", "Conflict", "Forbidden", "Busy", "_unauthorised"), 0) | dict.fromkeys(
    ("Stopped", "Fault", "fault"), 1
)
"""At which place a call that refuses takes its code."""
NAMED: Final = ("code", "failure")
CODE: Final = re.compile(r"[A-Z]+(_[A-Z]+)*")
LANGUAGES: Final = ("pt-BR", "en", "es")


def codes_of_the_source() -> set[str]:
    """Return every code, by the calls that take one, and every status the PIX API stops a call with."""
    files = (file for file in SOURCE.rglob("*.py") if not str(file.relative_to(SOURCE)).startswith(NO_CALLER_S))
    return {code for file in files for code in codes_in(ast.parse(file.read_text()))}


def codes_in(module: ast.Module) -> Iterator[str]:
    named = dict(constants(module))
    for node in ast.walk(module):
        given = [text(each, named) for each in taken(node)]
        yield from filter(CODE.fullmatch, given)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Stopped" and not is_code(node.args[1]):
            yield from re.findall(r"^\d+$", ast.unparse(node.args[0]))  # the PIX API: a status and a sentence


def is_code(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Name) or bool(CODE.fullmatch(text(argument, {})))


def taken(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what may be a code: of a call that refuses, or set where an edge answers by itself."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        at = 0 if ast.unparse(node.func) == "super().__init__" else AT.get(name)
        if at is not None:
            yield from node.args[at : at + 1]
        yield from (keyword.value for keyword in node.keywords if keyword.arg in NAMED)
    elif isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") in NAMED:
        yield node.value


def constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value:
            yield target.id, text(node.value, {})


def text(node: ast.expr, named: Mapping[str, str]) -> str:
    """Return the text an expression stands for, empty where that is not written down."""
    if isinstance(node, ast.Name):
        return named.get(node.id, "")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.bar("U7")
def test_every_code_of_the_source_is_explained_and_no_other(bar_value: Callable[[float], None]) -> None:
    codes = codes_of_the_source()
    bar_value(100 * len(codes & set(BY_CODE)) / len(codes))
    assert set(BY_CODE) == codes
    assert len(BY_CODE) == sum(len(meaning.codes) for meaning in MEANINGS), "a code is explained twice"


def test_a_code_that_is_not_explained_is_noticed() -> None:
    source = """
NEW: Final = "BRAND_NEW"
raise Conflict(NEW, "x")
faults.append(Fault("amount", "OTHER_NEW", "x"))
raise Stopped(418, "I am a teapot")
call.code = "THIRD_NEW"
"""
    assert set(codes_in(ast.parse(source))) == {"BRAND_NEW", "OTHER_NEW", "THIRD_NEW", "418"}


@pytest.mark.bar("U7")
async def test_each_code_has_a_cause_and_a_cure_in_each_language(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    house.shop.app = Starlette(routes=[Mount("/docs", create_documents_app(house.shop.deps))])
    for tag in LANGUAGES:
        said = load()[tag].texts.gettext
        page = html.unescape((await house.shop.browser(**{"accept-language": tag}).opens("/docs/errors")).page.text)
        for code, meaning in BY_CODE.items():
            assert f'<code id="{code}">' in page
            assert said(meaning.cause) in page, code
            assert said(meaning.cure) in page, code


@pytest.mark.bar("U7")
@pytest.mark.parametrize("path", ["/api/v1/payments", "/api/v1/payment-intents"])
@pytest.mark.parametrize("agent", ["curl/8", "GuzzleHttp/7"])
def test_every_refusal_has_a_code_a_sentence_its_field_and_the_request_id(path: str, agent: str) -> None:
    faults = [Fault("amount", "INVALID_AMOUNT", "Too little."), Fault("currency", "INVALID_CURRENCY", "None such.")]
    refusals = [kind(code, "Not so.") for code in BY_CODE for kind in (Refused, NotFound, Conflict, Forbidden)]
    for refusal in (*refusals, Invalid(faults), Busy("SERVICE_UNAVAILABLE", "Later.", retry_after_s=3)):
        told = json.loads(errors.refused(called(path, agent), refusal).body)
        assert (told["success"], told["code"], told["request_id"]) == (False, refusal.code, "req-7")
        assert re.fullmatch(r"[A-Z].*\.", told["message"])
        named = told.get("errors", {})
        fields = set(named) if isinstance(named, dict) else {entry["field"] for entry in named}
        assert fields == ({"amount", "currency"} if isinstance(refusal, Invalid) else {None} if named else set())
    assert json.loads(errors.failed(called(path, agent)).body)["code"] in BY_CODE


def called(path: str, agent: str) -> MerchantCall:
    scope = {
        "method": "POST",
        "path": path,
        "root_path": "/api/v1",
        "query_string": b"",
        "headers": [(b"user-agent", agent.encode())],
    }
    call = MerchantCall(scope, None, arrived_at=Instant(0), forget_callers=lambda: None)  # type: ignore[arg-type]
    call.request_id = "req-7"
    return call


@pytest.mark.bar("U7")
async def test_the_panel_tells_a_refusal_in_the_language_of_its_reader(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    for tag in LANGUAGES:
        said = load()[tag].texts.gettext
        browser = await house.browser(**{"accept-language": tag})
        await browser.opens(f"{house.home}/payouts/new")
        await browser.presses(said("Send the money"), recipient="bia@example.com", amount="999999.00")
        refused = html.unescape(re.search(r'role="alert">(.*?)</p>', browser.page.text)[1])  # type: ignore[index]
        assert refused in map(said, ("Insufficient balance", "Transaction limit exceeded")), refused

        await browser.opens(f"{house.home}/payments/{house.names['payment']}/refunds")
        await browser.presses(said("Give it back"), amount="999999.00")
        refused = html.unescape(re.search(r"<q>(.*?)</q>", browser.page.text)[1])  # type: ignore[index]
        rest = money(parse("99.90", currency("BRL")), load()[tag].locale)
        assert refused == said("Only %(rest)s is left to refund.") % {"rest": rest}

        page = html.unescape(
            (await browser.opens(f"{house.home}/developers/requests/{house.names['request']}")).page.text
        )
        assert said(BY_CODE["VALIDATION_FAILED"].cure) in page
