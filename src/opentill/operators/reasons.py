"""Why something waits for a person, and how that ended: as it is stored, and in the words operators read."""

import re
from enum import StrEnum
from typing import Final, Self

_ = str  # marks a text for the catalogues


class Worded(StrEnum):
    """A value as it is stored, with the words for it; rows keep it for ever, while the words may change."""

    words: str

    def __new__(cls, stored: str, words: str) -> Self:
        made = str.__new__(cls, stored)
        made._value_ = stored
        made.words = words
        return made


class Reason(Worded):
    """Why something waits for a person."""

    # Money for a payment
    AMOUNT_DIFFERS = "amount differs", _("Another amount arrived than was asked for")
    LATE = "the money came after the end", _("The money came after the end")
    PAID_TWICE = "paid twice", _("Paid twice")
    COUNTED_ELSEWHERE = "its money was counted for another payment", _("Its money was counted for another payment")
    COUNTED_FOR_NONE = "its money was counted for no payment", _("Its money was counted for no payment")
    INVOICE_OVER = "its invoice was paid or cancelled before", _("Its invoice was paid or cancelled before")
    OF_NOBODY = "nobody owns the key it was paid to", _("Nobody owns the key it was paid to")

    # What a payer says
    SUBMITTED = "the payer says that it is paid", _("The payer says that it is paid")
    USED_TWICE = "its provider id was submitted before", _("Its provider id was submitted before")

    # Refunds
    SENT_BY_HAND = "a refund is to be sent by hand", _("A refund is to be sent by hand")
    DOUBTFUL = "nobody knows whether a refund went through", _("Nobody knows whether a refund went through")
    NOT_RETURNED = "held money could not be given back", _("Held money could not be given back")
    WENT_THROUGH = "a refund that had failed went through", _("A refund that had failed went through")
    PART_WENT_BACK = "part of money that waits went back", _("A part went back of money that waits for a decision")
    MORE_WENT_BACK = "more went back than had arrived", _("More went back than had arrived")

    # Payouts
    OTHER_AMOUNT = "the bank speaks of another amount", _("The bank speaks of another amount")
    CONTRADICTED = "the bank contradicts itself", _("The bank contradicts itself")
    OUTCOME_UNKNOWN = "its outcome is not known", _("Its outcome is not known")
    PAID_AFTER_FAILURE = "paid after it had failed", _("Paid after it had failed")
    MORE_CAME_BACK = "more came back than was sent", _("More came back than was sent")

    # Contests
    UNKNOWN_CONTESTED = "contest of a receipt we do not know", _("Money is contested that is not in the books")
    HOURS_LEFT = "%(hours)s hours are left to defend", _("Hours left to hand a defence in: %(hours)s")
    FORWARD_DEFENCE = "a defence is to be forwarded to the bank", _("A defence is to be forwarded to the bank")

    # The books of a day beside the bank's
    MATCH_MISSING = "daily match: missing", _("The bank does not list a movement that is in the books")
    MATCH_EXTRA = "daily match: extra", _("The bank lists a movement that is not in the books")
    MATCH_WRONG_AMOUNT = "daily match: wrong amount", _("The bank lists a movement with another amount")
    MATCH_DOUBLED = "daily match: doubled", _("The bank lists a movement twice")
    MATCH_SPLIT = "daily match: split", _("The bank lists a movement in parts")


class Ending(Worded):
    """What became of an item."""

    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    RETURNED = "returned", _("given back")
    SETTLED = "settled", _("settled")
    SENT = "sent", _("sent")
    NOT_SENT = "not_sent", _("not sent")
    REPLACED = "replaced", _("sent anew by the payer")
    CANCELLED = "cancelled", _("cancelled")
    PAID_OTHERWISE = "paid otherwise", _("paid otherwise")


_HOURS_LEFT: Final = re.compile(Reason.HOURS_LEFT % {"hours": "(?P<hours>[0-9]+)"})


def told(stored: str) -> tuple[str, dict[str, str]]:
    """Return the words for a reason as it is stored, and what they name; one that nobody knows is its own words."""
    left = _HOURS_LEFT.fullmatch(stored)
    if left is not None:
        return Reason.HOURS_LEFT.words, left.groupdict()
    return _words(Reason, stored), {}


def ended(stored: str) -> str:
    """Return the words for an ending as it is stored."""
    return _words(Ending, stored)


def _words(kind: type[Worded], stored: str) -> str:
    return next((one.words for one in kind if one == stored), stored)
