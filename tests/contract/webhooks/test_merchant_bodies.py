"""Bodies of the merchant dialect (merchant-api.md §14.4) against golden files and the schema."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from opentill.webhooks.bodies import UnrenderableError, render
from opentill.webhooks.catalogue import MERCHANT_EVENTS
from opentill.webhooks.model import RecordedEvent
from tests.contract.webhooks import documents as doc
from tests.contract.webhooks.schema import errors_in

pytestmark = pytest.mark.bar("C16")

GOLDEN = Path(__file__).parent / "golden"

OPEN = {"fee_units": 0, "net_units": None, "paid_at": None}


def of_payment(name: str, *, status: str, **parts: object) -> RecordedEvent:
    payment = parts.pop("payment", None) or doc.payment(
        status=status, **({} if status in ("completed", "refunded") else OPEN)
    )
    return doc.event(name, merchant=name, payment=payment, **parts)


HALF_BACK = doc.payment(refunded_units=499_900)
ALL_BACK = doc.payment(refunded_units=999_900)
USD_REFUND = doc.refund(currency="USD", reason="changed his mind")

BODIES = {
    "payment.pending": of_payment("payment.pending", status="pending"),
    "payment.processing": of_payment("payment.processing", status="processing"),
    "payment.completed": of_payment("payment.completed", status="completed"),
    "payment.failed": of_payment("payment.failed", status="failed"),
    "payment.cancelled": of_payment("payment.cancelled", status="cancelled"),
    "payment.expired": of_payment("payment.expired", status="expired"),
    "refund.created": of_payment("refund.created", status="completed", refund=USD_REFUND),
    "refund.completed": of_payment(
        "refund.completed",
        status="completed",
        payment=HALF_BACK,
        refund={
            **USD_REFUND,
            "amount_units": 499_900,
            "status": "completed",
            "gateway_refund_id": "re_1",
            "processed_at": doc.instant("2026-07-21T09:00:00Z"),
        },
    ),
    "refund.failed": of_payment("refund.failed", status="completed", refund={**USD_REFUND, "status": "failed"}),
    "dispute.created": of_payment(
        "dispute.created", status="completed", payment=doc.payment(disputed=True), dispute=doc.dispute()
    ),
    "dispute.resolved": of_payment("dispute.resolved", status="completed", dispute=doc.dispute(status="won")),
    "invoice.paid": of_payment("invoice.paid", status="completed", invoice=doc.invoice()),
    "payment_link.paid": of_payment("payment_link.paid", status="completed", link=doc.LINK),
    "customer.created": doc.event("customer.created", merchant="customer.created", customer=doc.CUSTOMER),
    "webhook.test": doc.event("webhook.test", merchant="webhook.test", test=doc.TEST),
}


@pytest.mark.checklist("M12")
@pytest.mark.parametrize("form", ["string", "number"])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_the_same_for_ever(name: str, form: str) -> None:
    golden = GOLDEN / f"merchant-1.0-{form}" / f"{name}.json"
    assert render(BODIES[name], f"merchant/1.0/{form}") == golden.read_bytes()


@pytest.mark.parametrize("form", ["string", "number"])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_obeys_its_schema(name: str, form: str) -> None:
    assert errors_in(render(BODIES[name], f"merchant/1.0/{form}"), f"merchant:{name}") == []


def test_every_name_of_the_dialect_has_a_golden_body() -> None:
    assert set(MERCHANT_EVENTS) == set(BODIES)


def test_the_documented_sample_is_what_a_completed_payment_gives() -> None:
    body = json.loads(render(BODIES["payment.completed"], "merchant/1.0/string"))
    flat = {key: value for key, value in body.items() if key not in ("event", "id", "api_version", "timestamp", "data")}
    assert body["event"] == "payment.completed"
    assert body["id"] == doc.EVENT_ID
    assert body["timestamp"] == "2026-07-20T14:22:45Z"
    assert (body["amount"], body["fee"], body["net_amount"]) == ("99.99", "2.90", "97.09")
    assert body["order_id"] == body["reference"] == "ORD-1"
    assert body["data"] == {"id": body["payment_id"], **flat}
    assert list(body["data"])[:3] == ["id", "payment_id", "transaction_id"]


@pytest.mark.checklist("M12")
def test_numbers_are_written_with_the_decimals_of_the_currency() -> None:
    body = render(of_payment("payment.completed", status="completed", payment=doc.payment(
        amount_units=999_000, fee_units=0, net_units=999_000)), "merchant/1.0/number")  # fmt: skip
    assert b'"amount":99.90,' in body
    assert json.loads(body, parse_float=Decimal)["amount"] == Decimal("99.90")
    yen = doc.payment(currency="JPY", exponent=0, amount_units=120_000, fee_units=0, net_units=120_000)
    body = render(of_payment("payment.completed", status="completed", payment=yen), "merchant/1.0/number")
    assert b'"amount":1200,' in body


def test_a_fee_finer_than_a_cent_is_rounded_and_the_net_still_adds_up() -> None:
    pix = doc.payment(currency="BRL", amount_units=999_000, fee_units=250, net_units=998_750)
    body = json.loads(render(of_payment("payment.completed", status="completed", payment=pix), "merchant/1.0/string"))
    assert (body["amount"], body["fee"], body["net_amount"]) == ("99.90", "0.03", "99.87")


def test_a_payment_wholly_refunded_says_so_and_a_part_does_not() -> None:
    part = json.loads(render(BODIES["refund.completed"], "merchant/1.0/string"))
    whole = of_payment("refund.completed", status="completed", payment=ALL_BACK, refund=USD_REFUND)
    assert part["status"] == "completed"
    assert json.loads(render(whole, "merchant/1.0/string"))["status"] == "refunded"


def test_a_converted_payment_shows_what_the_payer_was_charged() -> None:
    converted = {
        "amount_units": 110_250_000,
        "currency": "BDT",
        "exponent": 2,
        "rate": "110.25",
        "rate_at": doc.instant("2026-07-20T14:00:00Z"),
    }
    body = json.loads(render(of_payment("payment.completed", status="completed", payment=doc.payment(charge=converted)),
                             "merchant/1.0/string"))  # fmt: skip
    assert body["charge"] == {
        "amount": "11025.00",
        "currency": "BDT",
        "rate": "110.25",
        "rate_at": "2026-07-20T14:00:00Z",
    }
    assert body["amount"] == "99.99"


def test_slashes_emoji_and_accents_are_not_escaped() -> None:
    strange = doc.payment(metadata={"note": 'a/b "c" 💳', "n": 1.0, "big": 2**70})
    body = render(of_payment("payment.completed", status="completed", payment=strange), "merchant/1.0/string")
    assert 'a/b \\"c\\" 💳'.encode() in body
    assert b"1180591620717411303424" in body


def test_a_test_event_can_mark_no_order_paid() -> None:
    body = json.loads(render(BODIES["webhook.test"], "merchant/1.0/string"))
    assert body["status"] == "test"
    assert body["amount"] == "0.00"
    assert body["order_id"] == body["reference"] == body["gateway_trx_id"] == ""


def test_a_body_too_large_to_send_is_refused() -> None:
    vast = doc.payment(metadata={"note": "x" * 300_000})
    with pytest.raises(UnrenderableError, match="bytes"):
        render(of_payment("payment.completed", status="completed", payment=vast), "merchant/1.0/string")
