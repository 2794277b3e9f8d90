"""Bodies of the standard dialect against golden files, the lines of webhooks.md §10, and the schema.

`python -m tests.contract.webhooks.test_standard_bodies` writes the golden files; a changed byte is a new version.
"""

from pathlib import Path

import pytest

from opentill.events import Audience
from opentill.webhooks.bodies import UnrenderableError, render
from opentill.webhooks.catalogue import default_set, extra_set
from opentill.webhooks.model import Dialect, RecordedEvent
from tests.contract.webhooks import documents as doc
from tests.contract.webhooks.schema import errors_in

pytestmark = pytest.mark.bar("C16")

FULL, THIN = "standard/2026-11-01/full", "standard/2026-11-01/thin"
GOLDEN = Path(__file__).parent / "golden"

PAYMENT = doc.payment(
    reference="txn_0123456789abcdef",
    gateway_trx_id="E99999002202607140333abcdef12345",
    amount_units=999_000,
    currency="BRL",
    fee_units=250,
    net_units=998_750,
    gateway="pix",
    gateway_type="pix",
    method="pix",
    customer={"name": "Ana Teste", "email": "ana@example.com", "phone": ""},
    metadata={"cart": "1"},
    created_at=doc.instant("2026-07-14T03:30:00Z"),
    paid_at=doc.instant("2026-07-14T03:33:19.512Z"),
)
ENDPOINT = {
    "id": "wh_a1b2c3d4e5f6",
    "url": "https://shop.example/hook",
    "state": "active",
    "failing_since": doc.instant("2026-07-14T03:33:21Z"),
    "failed_attempts": 3,
    "last_error": "The receiver did not answer within 10 seconds.",
    "disable_at": None,
}
DELIVERY = {
    "id": "dlv_0197f3c200010a0b0c0d0e0f",
    "endpoint_id": "wh_a1b2c3d4e5f6",
    "event_id": doc.EVENT_ID,
    "event_type": "payment.completed",
    "attempts": 8,
    "last_error": "The receiver answered 500.",
    "url": "https://shop.example/hook",
}
RECEIPT, RETURNED = doc.receipt(), doc.returned()
ENDED = {"completed_at": doc.instant("2026-03-16T12:00:00Z"), "return_id": "D99999001202603161200abcdef12345"}


def business(type_: str, **parts: object) -> RecordedEvent:
    return doc.event(type_, at=doc.instant("2026-07-14T03:33:20Z"), **parts)


def operational(type_: str, at: str = "2026-07-14T03:40:00Z", **parts: object) -> RecordedEvent:
    return doc.event(type_, audience=Audience.OPERATIONAL, at=doc.instant(at), **parts)


def of_payment(status: str) -> dict[str, object]:
    paid = {} if status == "completed" else {"paid_at": None, "net_units": None, "fee_units": 0, "gateway_trx_id": ""}
    return {"payment": {**PAYMENT, "status": status, **paid}}


EVENTS: tuple[RecordedEvent, ...] = (
    *(
        business(f"payment.{status}", **of_payment(status))
        for status in ("pending", "processing", "completed", "failed", "cancelled", "expired")
    ),
    business("charge.created", payment=PAYMENT, charge=doc.charge()),
    business("charge.paid", receipt=RECEIPT | {"origin": "direct"}),
    business("charge.expired", payment=PAYMENT, charge=doc.charge()),
    business("charge.cancelled", payment=PAYMENT, charge=doc.charge()),
    business("refund.created", payment=PAYMENT, refund=doc.refund()),
    business("refund.completed", payment=PAYMENT, refund=doc.refund(status="completed", **ENDED)),
    business("refund.failed", payment=PAYMENT, refund=doc.refund(status="failed", failure_code="receiver_unavailable")),
    business("dispute.created", payment=PAYMENT, dispute=doc.dispute()),
    business("dispute.resolved", payment=PAYMENT, med=doc.med(**ENDED)),
    business("infraction.created", payment=PAYMENT, infraction=doc.infraction()),
    business("infraction.defense_submitted", infraction=doc.infraction()),
    business("infraction.resolved", infraction=doc.infraction(status="CLOSED", analysis_result="AGREED")),
    *(
        business(f"payout.{word}", payout=doc.payout())
        for word in ("queued", "processing", "held", "confirmed", "failed")
    ),
    business("payout.returned", **{"return": RETURNED}),
    business("return.received", **{"return": RETURNED}),
    business("invoice.paid", payment=PAYMENT, invoice=doc.invoice()),
    business("payment_link.paid", payment=PAYMENT, link=doc.LINK),
    business("customer.created", customer=doc.CUSTOMER),
    operational("endpoint.failing", endpoint=ENDPOINT),
    operational("endpoint.recovered", endpoint=ENDPOINT | {"failing_since": None, "last_error": None}),
    operational("endpoint.disabled", endpoint=ENDPOINT | {"state": "disabled"}),
    operational("delivery.dead", delivery=DELIVERY),
    doc.event("webhook.test", audience=Audience.TEST, at=doc.instant("2026-03-07T15:30:00Z"), test=doc.TEST),
)

DOCUMENTED = {
    ("payment.completed", FULL): (
        '{"type":"payment.completed","timestamp":"2026-07-14T03:33:20.000000Z","data":{"object":"payment",'
        '"id":"0197f3c2-0000-7000-8000-000000000001","reference":"txn_0123456789abcdef","order_id":"ORD-1",'
        '"status":"completed","amount":{"value":"99.90","currency":"BRL"},'
        '"amount_refunded":{"value":"0.00","currency":"BRL"},"fee":{"value":"0.025","currency":"BRL"},'
        '"net":{"value":"99.875","currency":"BRL"},"gateway":"pix",'
        '"gateway_reference":"E99999002202607140333abcdef12345","rail":"pix","late":false,'
        '"customer":{"name":"Ana Teste","email":"ana@example.com","phone":""},"metadata":{"cart":"1"},'
        '"created_at":"2026-07-14T03:30:00.000000Z","paid_at":"2026-07-14T03:33:19.512000Z"}}'
    ),
    ("payment.completed", THIN): (
        '{"type":"payment.completed","timestamp":"2026-07-14T03:33:20.000000Z","data":{"object":"payment",'
        '"id":"0197f3c2-0000-7000-8000-000000000001"}}'
    ),
    ("endpoint.failing", FULL): (
        '{"type":"endpoint.failing","timestamp":"2026-07-14T03:40:00.000000Z","data":{"object":"endpoint",'
        '"id":"wh_a1b2c3d4e5f6","url":"https://shop.example/hook","state":"active",'
        '"failing_since":"2026-07-14T03:33:21.000000Z","failed_attempts":3,'
        '"last_error":"The receiver did not answer within 10 seconds.","disable_at":null}}'
    ),
}


def golden(event: RecordedEvent, variant: str) -> Path:
    return GOLDEN / variant.replace("/", "-") / f"{event.type}.json"


@pytest.mark.parametrize("variant", [FULL, THIN])
@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.type)
def test_a_body_is_byte_for_byte_what_it_was_and_obeys_its_schema(event: RecordedEvent, variant: str) -> None:
    body = render(event, variant)
    assert body == golden(event, variant).read_bytes()
    assert errors_in(body, f"standard:{event.type}") == []


@pytest.mark.parametrize(("name", "variant"), DOCUMENTED)
def test_a_documented_line_is_written_byte_for_byte(name: str, variant: str) -> None:
    (event,) = (event for event in EVENTS if event.type == name)
    assert render(event, variant).decode() == DOCUMENTED[name, variant]


def test_every_type_of_the_dialect_has_a_golden_body() -> None:
    offered = {*default_set(Dialect.STANDARD), *extra_set(Dialect.STANDARD)}
    operational = {"endpoint.failing", "endpoint.recovered", "endpoint.disabled", "delivery.dead"}
    assert {event.type for event in EVENTS} == offered | operational


def test_a_document_without_the_needed_part_is_refused() -> None:
    with pytest.raises(UnrenderableError):
        render(business("refund.created", payment=PAYMENT), FULL)


if __name__ == "__main__":
    for event in EVENTS:
        for variant in (FULL, THIN):
            golden(event, variant).parent.mkdir(exist_ok=True)
            golden(event, variant).write_bytes(render(event, variant))
