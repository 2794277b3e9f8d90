"""The names a PIX payment goes by: ours, the label in a code, the provider's txid, and the rail's ids.

Ids of the rail are case-sensitive. They are made strictly and read leniently (pix-rail.md §4).
"""

import re
from string import ascii_letters, ascii_lowercase, digits
from typing import Final

from opentill.kernel.clock import Instant, to_datetime
from opentill.kernel.ids import Ids

CHARGE_ID_CHARACTERS: Final = 25  # also the longest label a static code may carry
TXID_PREFIX: Final = "ot"
DATED_TAIL_CHARACTERS: Final = 12
RAIL_TAIL_CHARACTERS: Final = 11
RAIL_ID_CHARACTERS: Final = 32
RAIL_HEAD_CHARACTERS: Final = RAIL_ID_CHARACTERS - RAIL_TAIL_CHARACTERS  # letter, bank and minute: no small letters

_CHARGE_ID: Final = re.compile(r"[a-z][a-z0-9]{24}")
_STRICT_END_TO_END: Final = re.compile(r"E[0-9A-Z]{8}[0-9]{12}[a-zA-Z0-9]{11}")
_LENIENT: Final = re.compile(rf"[a-zA-Z0-9]{{{RAIL_ID_CHARACTERS}}}")
_RAIL_ALPHABET: Final = digits + ascii_letters


def charge_id(ids: Ids) -> str:
    """Return a new charge id: 25 of `[a-z0-9]`, first a letter."""
    first = ascii_lowercase[_below(ids, len(ascii_lowercase))]
    return first + ids.alnum(CHARGE_ID_CHARACTERS - 1)


def provider_txid(charge: str) -> str:
    """Return the txid a provider knows a charge by: `ot` and its id, 27 characters."""
    return TXID_PREFIX + charge


def charge_id_of(txid: str) -> str | None:
    """Return the charge id a received txid stands for, in either form; None when it is not one of ours."""
    bare = txid.removeprefix(TXID_PREFIX) if len(txid) > CHARGE_ID_CHARACTERS else txid
    return bare if _CHARGE_ID.fullmatch(bare) else None


def receipt_id(ids: Ids, at: Instant) -> str:
    """Return a new id for a receipt without a charge of its own: `PIXIN`, the UTC day and 12 of `[a-z0-9]`."""
    return _dated(ids, "PIXIN", at)


def payout_id(ids: Ids, at: Instant) -> str:
    """Return a new payout id, which is also its reference at the bank: `PIXOUT…`, 26 characters."""
    return _dated(ids, "PIXOUT", at)


def refund_id(ids: Ids, at: Instant) -> str:
    """Return a new refund id, which is also the name of the return at the bank: `PIXRET…`, 26 characters."""
    return _dated(ids, "PIXRET", at)


def end_to_end_id(ids: Ids, ispb: str, at: Instant) -> str:
    """Return a new end-to-end id of the participant *ispb*. Used once, even if its payment fails."""
    return _rail_id(ids, "E", ispb, at)


def return_id(ids: Ids, ispb: str, at: Instant) -> str:
    """Return a new id of a return made by the participant *ispb*."""
    return _rail_id(ids, "D", ispb, at)


def is_strict_end_to_end_id(text: str) -> bool:
    """Whether an id has the strict form. One that has not is logged, never refused."""
    return _STRICT_END_TO_END.fullmatch(text) is not None


def is_rail_id(text: str) -> bool:
    """Whether a received id has the lenient form. One that has not is kept as received and flagged."""
    return _LENIENT.fullmatch(text) is not None


def as_written(text: str) -> str:
    """Return an end-to-end id that a person wrote, with capitals where it can have nothing else; any other text as
    it is.
    """
    with_head = text[:RAIL_HEAD_CHARACTERS].upper() + text[RAIL_HEAD_CHARACTERS:]
    return with_head if is_strict_end_to_end_id(with_head) else text


def payer_ispb(end_to_end: str) -> str | None:
    """Return the bank an end-to-end id was made by, or None when the id does not say."""
    return end_to_end[1:9] if is_strict_end_to_end_id(end_to_end) else None


def _dated(ids: Ids, prefix: str, at: Instant) -> str:
    return f"{prefix}{to_datetime(at):%Y%m%d}{ids.alnum(DATED_TAIL_CHARACTERS)}"


def _rail_id(ids: Ids, letter: str, ispb: str, at: Instant) -> str:
    tail = "".join(_RAIL_ALPHABET[_below(ids, len(_RAIL_ALPHABET))] for _ in range(RAIL_TAIL_CHARACTERS))
    return f"{letter}{ispb}{to_datetime(at):%Y%m%d%H%M}{tail}"


def _below(ids: Ids, limit: int) -> int:
    """Return a random number below *limit*, each as likely: eight bytes leave no visible preference."""
    return int.from_bytes(ids.token_bytes(8)) % limit
