"""Letters read well in every language, and nothing in them can pass for a header or a paragraph of ours."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from opentill.kernel.clock import Instant
from opentill.mail.model import Claimed, Kind
from opentill.web.letters import Letters, one_line

LETTERS = Letters(public_url="https://till.example", sender="OpenTill <till@shop.example>", language="en")
AT = Instant(1_783_944_000_000_000)
ENDPOINT: dict[str, Any] = {
    "merchant": "Loja Exemplo",
    "page": "/admin/m/loja/developers/endpoints/wh_1",
    "url": "https://shop.example/hook",
    "since": AT,
    "attempts": 12,
    "error": "The receiver answered 404.",
    "disable_at": None,
    "reason": None,
    "waiting": 7,
    "is_pulled": False,
}
DEAD = ENDPOINT | {"event_type": "payment.completed", "day": AT}
FACTS: dict[Kind, dict[str, Any]] = {
    Kind.TEST: {},
    Kind.ENDPOINT_FAILING: ENDPOINT,
    Kind.ENDPOINT_DISABLED: ENDPOINT,
    Kind.ENDPOINT_RECOVERED: ENDPOINT,
    Kind.DELIVERY_DEAD: DEAD,
    Kind.HELD_ENDING: {name: ENDPOINT[name] for name in ("merchant", "page", "url", "waiting")} | {"until": AT},
    Kind.INVOICE: {
        "merchant": "Loja",
        "number": "INV-7",
        "units": 12_345_600,
        "currency": "BRL",
        "due_on": "2026-08-01",
        "link": "https://till.example/invoice/abc",
        "is_sandbox": False,
    },
    Kind.REVIEW_WAITING: {"merchant": "Loja", "count": 3, "page": "/admin/m/loja/reviews"},
    Kind.REVIEW_ITEMS: {"merchant": "Loja", "count": 3, "page": "/admin/m/loja/reviews"},
    Kind.CREDENTIAL_ENDING: {
        "merchant": "Loja",
        "label": "ERP",
        "client_id": "cli_ab12",
        "until": AT,
        "page": "/admin/m/loja",
    },
    Kind.PAYER_ASKED: {
        "merchant": "Loja",
        "question": "Please send the whole receipt.",
        "units": 990_000,
        "currency": "BRL",
        "link": "https://till.example/checkout/x",
        "is_sandbox": False,
    },
    Kind.KEY_ENDING: {"merchant": "Loja", "label": "Site", "prefix": "op_ab12", "until": AT, "page": "/admin/m/loja"},
    Kind.PASSWORD_RESET: {"page": "/admin/password/0123", "until": AT},
    Kind.FACTOR_RESET: {"by": "Ana", "at": AT},
}
EVIL = "Loja\r\nBcc: eve@evil.example\r\n\r\n\u202eYour account\x00 is closed\u2028Pay here"


def written(kind: Kind, language: str | None = "en", **facts: Any) -> EmailMessage:
    """Return a letter as whoever receives it reads its bytes."""
    letter = Claimed(1, "0197f3c2", kind, "ana@shop.example", language, FACTS[kind] | facts, 3, 1, AT)
    message = message_from_bytes(LETTERS.compose(letter).as_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("kind", list(Kind))
def test_every_letter_is_written_in_each_language_and_differs(kind: Kind) -> None:
    letters = [written(kind, tag) for tag in ("pt-BR", "en", "es")]
    for message in letters:
        assert message["Subject"]
        body = message.get_content()
        assert "https://till.example" in body
        assert "  \n" not in body
        assert "\n\n\n" not in body
        assert not message.is_multipart()
        assert message["Message-ID"] == "<0197f3c2@shop.example>"
        assert message["Date"] == "Mon, 13 Jul 2026 12:00:00 +0000"
    assert len({message.get_content() for message in letters}) == 3
    assert [message["Content-Language"] for message in letters] == ["pt-BR", "en", "es"]


def test_a_reader_whose_language_nobody_knows_gets_the_installations() -> None:
    assert written(Kind.TEST, None)["Content-Language"] == "en"
    assert written(Kind.TEST, "tlh")["Content-Language"] == "en"


def test_a_notice_names_the_endpoint_the_error_what_waits_what_will_happen_and_where_to_mend_it() -> None:
    body = written(Kind.ENDPOINT_FAILING, disable_at=AT).get_content()
    for said in (
        "https://shop.example/hook",
        "The receiver answered 404.",
        "Events that wait: 7.",
        "the endpoint is disabled at Jul 13, 2026, 12:00",
        "https://till.example/admin/m/loja/developers/endpoints/wh_1",
    ):
        assert said in body


def test_an_invoice_names_its_amount_and_its_day_as_the_reader_writes_them() -> None:
    bodies = {tag: written(Kind.INVOICE, tag).get_content() for tag in ("pt-BR", "en", "es")}
    assert "R$\xa01.234,56" in bodies["pt-BR"]
    assert "R$1,234.56" in bodies["en"]
    assert "Aug 1, 2026" in bodies["en"]
    assert "https://till.example/invoice/abc" in bodies["es"]
    assert "test" not in bodies["en"]
    assert "no real money" in written(Kind.INVOICE, is_sandbox=True).get_content()


@pytest.mark.bar("S10")
@pytest.mark.parametrize("kind", [kind for kind in Kind if FACTS[kind]])
def test_what_others_wrote_makes_no_header_and_no_paragraph(kind: Kind) -> None:
    evil = {
        name: EVIL
        for name, value in FACTS[kind].items()
        if isinstance(value, str) and name not in ("currency", "due_on")
    }
    message = written(kind, **evil)
    assert message.keys() == written(kind).keys()
    assert message["Bcc"] is None
    assert message["To"] == "ana@shop.example"
    body = message.get_content()
    assert len(body.splitlines()) == len(written(kind).get_content().splitlines())
    assert not set(body) & set("\x00\u202e\u2028")


def test_one_line_is_one_line_of_a_bounded_length() -> None:
    assert one_line(" a\tb\r\nc\x7f\u200b  d ") == "a b c d"
    assert len(one_line("x" * 10_000)) == 300
