"""Why the rail says no: its codes, what each means to us, and whether trying again helps (pix-rail.md §10).

Rows 1–41 are codes of the SPI. Rows 51–61 are what our own bank or the key directory says, 62–64 what we say.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Advice(StrEnum):
    """What a merchant may do. OpenTill itself never repeats a failed payout."""

    NO = "no"
    LATER = "later"
    ONCE = "once"
    CORRECT = "correct the data"
    BOOK_TRANSFER = "use a book transfer"
    READ_AGAIN = "read the code again"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row. `code` is the rail's, None where it has none; `reason` is the word merchants see."""

    number: int
    code: str | None
    meaning: str
    reason: str
    advice: Advice = Advice.NO

    @property
    def retryable(self) -> bool:
        """Whether the same payout may succeed when the merchant makes it anew."""
        return self.advice in (Advice.LATER, Advice.ONCE)


ROWS: Final = (
    Rejection(1, "AB03", "settlement aborted, SPI time limit", "network_timeout", Advice.LATER),
    Rejection(2, "AB09", "error at the receiving bank", "receiver_unavailable", Advice.LATER),
    Rejection(3, "AB11", "time limit at the sending bank", "network_timeout", Advice.LATER),
    Rejection(4, "AC03", "branch or account does not exist", "account_not_found"),
    Rejection(5, "AC06", "account blocked", "account_blocked"),
    Rejection(6, "AC07", "account closed", "account_closed"),
    Rejection(7, "AC14", "wrong account type", "account_type_mismatch", Advice.CORRECT),
    Rejection(8, "AG03", "account cannot take this operation", "not_supported"),
    Rejection(9, "AG12", "transfer inside one institution", "internal_transfer", Advice.BOOK_TRANSFER),
    Rejection(10, "AG13", "return of a return", "invalid_return"),
    Rejection(11, "AGNT", "wrong settling participant", "provider_error"),
    Rejection(12, "AM01", "amount zero", "invalid_amount"),
    Rejection(13, "AM02", "above what the credited account may receive", "limit_exceeded"),
    Rejection(14, "AM04", "sending bank short of reserves", "provider_liquidity", Advice.LATER),
    Rejection(15, "AM09", "return above the original", "invalid_amount"),
    Rejection(16, "AM12", "parts do not add up", "invalid_amount"),
    Rejection(17, "AM18", "bad number of transactions", "provider_error"),
    Rejection(18, "BE01", "document is not the holder's", "holder_mismatch"),
    Rejection(19, "BE05", "initiator not registered", "provider_error"),
    Rejection(20, "BE15", "bad txid", "invalid_reference"),
    Rejection(21, "BE17", "code refused: expired, paid or removed", "qr_rejected", Advice.READ_AGAIN),
    Rejection(22, "CH11", "recipient document wrong", "holder_mismatch"),
    Rejection(23, "CH16", "malformed content", "provider_error"),
    Rejection(24, "CN01", "recurring schedule was cancelled", "authorization_cancelled"),
    Rejection(25, "DS04", "refused by the receiving bank", "rejected_by_receiver"),
    Rejection(26, "DS0G", "signer not authorised for the debited reserve account", "provider_error"),
    Rejection(27, "DS0H", "signer not allowed for this account", "provider_error"),
    Rejection(28, "DS27", "participant not registered or not active", "receiver_unavailable"),
    Rejection(29, "DT02", "bad timestamp", "provider_error"),
    Rejection(30, "DT05", "return window over", "return_window_expired"),
    Rejection(31, "DUPL", "same id or txid used before", "duplicate"),
    Rejection(32, "ED05", "settlement failed", "settlement_failed", Advice.ONCE),
    Rejection(33, "FF07", "purpose does not fit the data", "provider_error"),
    Rejection(34, "FF08", "malformed end-to-end id", "provider_error"),
    Rejection(35, "FRAD", "suspected fraud", "fraud_suspected"),
    Rejection(36, "MD01", "cash facilitator unknown", "provider_error"),
    Rejection(37, "RC09", "payer's ISPB invalid", "invalid_bank", Advice.CORRECT),
    Rejection(38, "RC10", "recipient's ISPB invalid", "invalid_bank", Advice.CORRECT),
    Rejection(39, "RR04", "sanctioned payer", "compliance_block"),
    Rejection(40, "SL02", "return reason only for cash withdrawals", "invalid_return"),
    Rejection(41, "UPAY", "no valid recurrence", "authorization_invalid"),
    Rejection(51, None, "key not found", "key_not_found"),
    Rejection(52, None, "key invalid", "key_invalid", Advice.CORRECT),
    Rejection(53, None, "key look-up quota used up", "lookup_quota", Advice.LATER),
    Rejection(54, None, "provider account lacks money", "insufficient_funds", Advice.LATER),
    Rejection(55, None, "bank's day or night limit", "limit_exceeded", Advice.LATER),
    Rejection(56, None, "provider account under MED block", "med_blocked"),
    Rejection(57, None, "payer and recipient are the same account", "same_account"),
    Rejection(58, None, "key or account restricted for fraud", "key_restricted"),
    Rejection(59, None, "approval at the bank refused or expired", "approval_denied"),
    Rejection(60, None, "refused by the bank's fraud review", "antifraud_hold"),
    Rejection(61, None, "anything else", "provider_error"),
    Rejection(62, None, "approver rejected", "approval_rejected"),
    Rejection(63, None, "nobody approved in time", "approval_expired"),
    Rejection(64, None, "queued too long", "queue_timeout", Advice.LATER),
)
BY_NUMBER: Final = {row.number: row for row in ROWS}
BY_CODE: Final = {row.code: row for row in ROWS if row.code is not None}
BY_REASON: Final = {row.reason: row for row in ROWS if row.code is None}  # where the rail has no code
ANYTHING_ELSE: Final = BY_NUMBER[61]

_CODE: Final = re.compile(r"\b[A-Z]{2}[A-Z0-9]{2}\b")


def in_text(text: str | None) -> Rejection | None:
    """Return the row of the first code of the rail that a bank's sentence names, None where it names none."""
    return next((BY_CODE[code] for code in _CODE.findall(text or "") if code in BY_CODE), None)
