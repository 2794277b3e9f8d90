"""Bodies of the PIX dialect, byte by byte against the lines of pix-api.md §17.4 and against the schema."""

from pathlib import Path

import pytest

from opentill.webhooks.bodies import UnrenderableError, render
from opentill.webhooks.catalogue import PIX_EVENTS, PIX_EXTRA_EVENTS
from opentill.webhooks.model import RecordedEvent
from tests.contract.webhooks import documents as doc
from tests.contract.webhooks.schema import errors_in

pytestmark = pytest.mark.bar("C16")

GOLDEN = Path(__file__).parent / "golden" / "pix-1"

ENDED = {"completed_at": doc.instant("2026-03-07T16:00:04Z"), "returned_units": 100_000}
FAILED = {"failure_code": "receiver_unavailable", "failure_reason": "AB09"}

BODIES: dict[str, RecordedEvent] = {
    "pix.charge.created": doc.event("charge.created", pix="pix.charge.created", charge=doc.charge()),
    "pix.charge.paid": doc.event(
        "payment.completed", pix="pix.charge.paid", charge=doc.charge(), receipt=doc.receipt()
    ),
    "pix.charge.expired": doc.event(
        "charge.expired",
        pix="pix.charge.expired",
        charge=doc.charge(expired_at=doc.instant("2026-03-08T15:29:31.004512Z")),
    ),
    "pix.charge.cancelled": doc.event(
        "charge.cancelled",
        pix="pix.charge.cancelled",
        charge=doc.charge(cancelled_at=doc.instant("2026-03-07T16:00:00Z")),
    ),
    "pix.payout.queued": doc.event("payout.queued", pix="pix.payout.queued", payout=doc.payout(end_to_end_id=None)),
    "pix.payout.processing": doc.event("payout.processing", pix="pix.payout.processing", payout=doc.payout()),
    "pix.payout.held": doc.event("payout.held", pix="pix.payout.held", payout=doc.payout()),
    "pix.payout.confirmed": doc.event(
        "payout.confirmed",
        pix="pix.payout.confirmed",
        payout=doc.payout(counterparty_name="Fulano de Tal", completed_at=doc.instant("2026-03-07T15:30:02.410Z")),
    ),
    "pix.payout.failed": doc.event(
        "payout.failed",
        pix="pix.payout.failed",
        payout=doc.payout(
            recipient_key="ac03@spi.opentill.test",
            failure_reason="AC03",
            failed_at=doc.instant("2026-03-07T15:30:03Z"),
            failure_code="account_not_found",
            retryable=False,
        ),
    ),
    "pix.payout.returned": doc.event("payout.returned", pix="pix.payout.returned", **{"return": doc.returned()}),
    "pix.return.received": doc.event("return.received", pix="pix.return.received", **{"return": doc.returned()}),
    "pix.refund.requested": doc.event("refund.created", pix="pix.refund.requested", refund=doc.refund()),
    "pix.refund.completed": doc.event(
        "refund.completed",
        pix="pix.refund.completed",
        refund=doc.refund(return_id="D99999001202603071600abcdef12345", **ENDED),
    ),
    "pix.refund.failed": doc.event(
        "refund.failed",
        pix="pix.refund.failed",
        refund=doc.refund(failed_at=doc.instant("2026-03-07T16:00:09Z"), **FAILED),
    ),
    "pix.refund.requested.med": doc.event("dispute.created", pix="pix.refund.requested", med=doc.med()),
    "pix.refund.completed.med": doc.event(
        "dispute.resolved",
        pix="pix.refund.completed",
        med=doc.med(
            completed_at=doc.instant("2026-03-16T12:00:00Z"),
            returned_units=300_000,
            return_id="D99999001202603161200abcdef12345",
            analysis_result="AGREED",
        ),
    ),
    "pix.infraction.created": doc.event(
        "infraction.created", pix="pix.infraction.created", infraction=doc.infraction()
    ),
    "pix.infraction.defense_submitted": doc.event(
        "infraction.defense_submitted",
        pix="pix.infraction.defense_submitted",
        infraction=doc.infraction(defense_submitted_at=doc.instant("2026-03-11T08:00:00Z")),
    ),
    "pix.infraction.resolved": doc.event(
        "infraction.resolved",
        pix="pix.infraction.resolved",
        infraction=doc.infraction(
            status="CLOSED", analysis_result="AGREED", resolved_at=doc.instant("2026-03-16T11:00:00Z")
        ),
    ),
    "webhook.test": doc.event("webhook.test", pix="webhook.test", test=doc.TEST),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_byte_for_byte_the_documented_line(name: str) -> None:
    assert render(BODIES[name], "pix/1") == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", BODIES)
def test_a_body_obeys_its_schema(name: str) -> None:
    event = BODIES[name]
    assert errors_in(render(event, "pix/1"), f"pix:{event.pix_type}") == []


def test_every_name_of_the_dialect_has_a_golden_body() -> None:
    assert set(PIX_EVENTS + PIX_EXTRA_EVENTS) == {str(h.pix_type) for h in BODIES.values()}


def test_a_repeated_receipt_names_the_charge_it_repeats() -> None:
    repeat = doc.receipt(origin="repeat", transaction_id="PIXIN20260307a1b2c3d4e5f6")
    body = render(doc.event("charge.paid", pix="pix.charge.paid", charge=doc.charge(), receipt=repeat), "pix/1")
    assert body.endswith(b',"origin":"repeat","late":false,"charge_transaction_id":"k3v9q0x7m2b5n8c1z4l6j0h2g"}')
    assert b'"transaction_id":"PIXIN20260307a1b2c3d4e5f6"' in body
    assert errors_in(body, "pix:pix.charge.paid") == []


def test_a_direct_receipt_has_no_charge_and_says_null() -> None:
    direct = doc.receipt(origin="direct", transaction_id="PIXIN20260307a1b2c3d4e5f6", payer_document=None)
    body = render(doc.event("charge.paid", pix="pix.charge.paid", receipt=direct), "pix/1")
    assert b'"external_id":null' in body
    assert b'"payer_document":null' in body
    assert errors_in(body, "pix:pix.charge.paid") == []


def test_a_document_without_the_needed_part_is_refused_and_not_sent_as_nulls() -> None:
    with pytest.raises(UnrenderableError, match="charge"):
        render(doc.event("charge.created", pix="pix.charge.created"), "pix/1")
