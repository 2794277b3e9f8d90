"""What payers submit for manual gateways: the provider's transaction id, answers and proofs (merchant-api.md §12.2).

A provider's id, in capitals or not, counts once per merchant and gateway among submissions that were not rejected.
A person decides.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.events import record
from opentill.kernel.clock import Instant
from opentill.kernel.errors import Conflict, Fault, Invalid
from opentill.kernel.ids import Ids
from opentill.kernel.owner import Owner
from opentill.kernel.secret import Keyring
from opentill.merchants import gateways
from opentill.merchants.gateways import ManualGateway
from opentill.operators.reasons import Ending, Reason
from opentill.payments import store
from opentill.payments.documents import payment_event
from opentill.payments.model import Detail, Payment, PaymentStatus, Session
from opentill.payments.review import proofs
from opentill.payments.review import queue as review
from opentill.payments.review.proofs import Proof
from opentill.pix.identifiers import as_written, is_strict_end_to_end_id

PROVIDER_REF: Final = re.compile(r"[A-Z0-9._/-]{4,64}", re.ASCII)
ANSWER_MAX: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class Submission:
    """What the payer says they paid."""

    id: int
    payment_id: int
    gateway: str
    provider_ref: str | None
    state: str

    @property
    def ref(self) -> str:
        """Return the name its money gets."""
        return self.provider_ref or f"submission-{self.id}"


def submit(
    tx: Tx,
    payment_id: int,
    fields: Mapping[str, str],
    files: Sequence[Proof],
    *,
    owner: Owner,
    language: str | None = None,
    ids: Ids,
    keyring: Keyring,
    now: Instant,
) -> Payment | None:
    """Record that the payer says they paid by the manual gateway they chose. An earlier submission is replaced.

    *language* is the one they read, for letters to them. Return None where the provider's id was used before: that is
    recorded, and changes nothing else. Raises Invalid with every fault, and Conflict where there is no such try.
    """
    payment = store.lock(tx, payment_id, owner=owner, keyring=keyring)
    session = store.open_session(tx, payment_id, owner=owner)
    gateway = gateways.manual(tx, session.gateway, owner=owner) if session else None
    if payment is None or session is None or gateway is None or not payment.open or _over(payment, now):
        raise Conflict("INVALID_STATE", "Choose how to pay first.")
    provider_ref, answers = _read(fields, files, gateway)
    before = open_one(tx, payment.id, owner=owner)
    decide(tx, payment.id, "replaced", owner=owner, now=now)
    number = _insert(tx, payment, session, provider_ref, answers, language=language, keyring=keyring, now=now)
    if number is None:
        if before is not None:
            _reopen(tx, before, owner=owner)
        review.open_item(tx, payment, Reason.USED_TWICE, receipt_id=None, now=now)
        return None
    review.close_submissions(tx, payment, Ending.REPLACED, now=now)
    for proof in files:
        proofs.keep(tx, proof, number, owner=owner, keyring=keyring, now=now)
    review.open_submission(tx, payment, Reason.SUBMITTED, number, now=now)
    waiting = replace(payment, status=PaymentStatus.PROCESSING, detail=Detail.AWAITING_VERIFICATION, updated_at=now)
    store.update(tx, waiting)
    if payment.status is PaymentStatus.PENDING:
        record(tx, payment_event("payment.processing", waiting, at=now), ids=ids)
    return waiting


def open_one(tx: ReadTx, payment_id: int, *, owner: Owner) -> Submission | None:
    """Return the submission of a payment that nobody has decided."""
    row = tx.one_or_none(
        """
        select id, payment_id, gateway, provider_ref, state from submission
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode and state = 'open'
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    return Submission(**dict(row)) if row else None


def language(tx: ReadTx, payment: Payment) -> str | None:
    """Return the language in which the payer of a payment last said that they paid, if they did."""
    row = tx.one_or_none(
        """
        select language from submission
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode order by id desc limit 1
        """,
        payment_id=payment.id,
        **payment.owner.columns,
    )
    return row["language"] if row else None


def decide(tx: Tx, payment_id: int, state: str, *, owner: Owner, now: Instant) -> None:
    """Save what became of a payment's open submission, if it has one."""
    tx.run(
        """
        update submission set state = :state, decided_at = :now
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode and state = 'open'
        """,
        payment_id=payment_id,
        state=state,
        now=now,
        **owner.columns,
    )


def _over(payment: Payment, now: Instant) -> bool:
    return now >= payment.expires_at and not payment.under_review


def _read(
    fields: Mapping[str, str], files: Sequence[Proof], gateway: ManualGateway
) -> tuple[str | None, dict[str, str]]:
    """Read the payer's form by the gateway's settings. Raises Invalid with every fault."""
    faults: list[Fault] = []
    ref = as_written(fields.get("provider_trx_id", "").strip())
    named_by_rail = is_strict_end_to_end_id(ref)  # such ids are case-sensitive
    ref = ref if named_by_rail else ref.upper()
    if (ref or gateway.require_provider_trx) and not named_by_rail and PROVIDER_REF.fullmatch(ref) is None:
        message = "The transaction id has 4 to 64 letters, digits and . _ / -"
        faults.append(Fault("provider_trx_id", "VALIDATION_FAILED", message))
    answers = {"sender": fields.get("sender", "").strip()[:ANSWER_MAX]}
    for asked in gateway.fields:
        answer = fields.get(asked.key, "").strip()[:ANSWER_MAX]
        if (asked.required and not answer) or (answer and asked.pattern and not re.fullmatch(asked.pattern, answer)):
            faults.append(Fault(asked.key, "VALIDATION_FAILED", f"{asked.label} is missing or not as it should be."))
        answers[asked.key] = answer
    if gateway.proof_upload == "required" and not files:
        faults.append(Fault("proof", "VALIDATION_FAILED", "Upload a proof of your payment."))
    if len(files) > proofs.FILES_MAX or (files and gateway.proof_upload == "off"):
        faults.append(Fault("proof", "VALIDATION_FAILED", f"At most {proofs.FILES_MAX} files are taken here."))
    if faults:
        raise Invalid(faults)
    return ref or None, answers


def _reopen(tx: Tx, submission: Submission, *, owner: Owner) -> None:
    tx.run(
        """
        update submission set state = 'open', decided_at = null
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=submission.id,
        **owner.columns,
    )


def _insert(
    tx: Tx,
    payment: Payment,
    session: Session,
    provider_ref: str | None,
    answers: Mapping[str, str],
    *,
    language: str | None,
    keyring: Keyring,
    now: Instant,
) -> int | None:
    """Insert a submission and return its number, or None if its provider's id is taken."""
    rows = tx.all(
        """
        insert into submission (merchant_id, mode, payment_id, session_id, gateway, provider_ref, sealed, language,
                                state, created_at)
        values (:merchant_id, :mode, :payment_id, :session_id, :gateway, :provider_ref, :sealed, :language,
                'open', :now)
        on conflict do nothing
        returning id
        """,
        payment_id=payment.id,
        session_id=session.id,
        gateway=session.gateway,
        provider_ref=provider_ref,
        sealed=keyring.seal(json.dumps(answers).encode(), f"submission.sealed/{payment.id}"),
        language=language,
        now=now,
        **payment.owner.columns,
    )
    return rows[0]["id"] if rows else None
