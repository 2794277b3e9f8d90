"""What a payer is asked at a payment link, read from their form: values in, values out."""

import re
from collections.abc import Mapping
from typing import Final

from opentill.kernel.money import Currency, MalformedAmountError, Money, parse
from opentill.payments.fields import CONTROL
from opentill.payments.links import rules
from opentill.payments.links.model import Kind, Link, Question
from opentill.payments.links.service import Answers
from opentill.payments.model import Contact
from opentill.payments.wire import EMAIL, EMAIL_MAX, NAME_MAX

ANSWER_MAX: Final = 1_000  # characters
ADDRESS_MAX: Final = 500
NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:[.,][0-9]{1,6})?", re.ASCII)
BLANKS: Final = re.compile(r"[\s\u00a0\u202f']")
QUESTION: Final = "field_"  # what the names of a merchant's own questions begin with in the form

# What is wrong with a field; the page has a sentence for each.
MISSING, LONG, NO_EMAIL, NO_NUMBER, NO_AMOUNT, NO_CHOICE, TOO_LITTLE, TOO_MUCH = (
    "missing",
    "long",
    "no_email",
    "no_number",
    "no_amount",
    "no_choice",
    "too_little",
    "too_much",
)


class Reading:
    """A posted form and the faults found in it so far, by field."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self._form = form
        self.faults: dict[str, str] = {}

    def text(self, name: str, *, most: int, required: bool) -> str:
        text = CONTROL.sub("", self._form.get(name, "")).replace("\r\n", "\n").strip()
        if required and not text:
            self.faults[name] = MISSING
        elif len(text) > most:
            self.faults[name] = LONG
        return text


def read(form: Mapping[str, str], link: Link) -> tuple[Answers, dict[str, str]]:
    """Return what the payer said, and what is wrong with it by field. With faults the answers are of no use."""
    reading = Reading(form)
    amount = _amount(reading, link)
    name = reading.text("name", most=NAME_MAX, required=True)
    email = _email(reading, "email", required=True)
    address = reading.text("address", most=ADDRESS_MAX, required=True) if link.terms.require_address else None
    fields = {question.key: _answer(reading, question) for question in link.terms.questions}
    return Answers(amount, Contact(name, email), fields, address), reading.faults


def read_amount(text: str, of: Currency) -> Money:
    """Read an amount as people write it: `10`, `10.50`, `10,50`, `1.234,50`. Raises MalformedAmountError.

    A single separator before three digits could mean a thousand or a fraction, so it is refused rather than guessed.
    """
    plain = BLANKS.sub("", text)
    separators = [mark for mark in plain if mark in ".,"]
    if not separators:
        return parse(plain, of)
    last = separators[-1]
    whole, _, decimals = plain.rpartition(last)
    if separators.count(last) > 1 or (len(decimals) == 3 and of.exponent != 3):
        raise MalformedAmountError("The amount is not clear.")
    groups = re.split(r"[.,]", whole)
    if len(groups) > 1 and (any(len(group) != 3 for group in groups[1:]) or last in whole):
        raise MalformedAmountError("The amount is not clear.")
    return parse(f"{''.join(groups)}.{decimals}", of)


def _amount(reading: Reading, link: Link) -> Money:
    terms = link.terms
    if terms.amount is not None:
        return terms.amount
    text = reading.text("amount", most=40, required=True)
    try:
        amount = read_amount(text, terms.currency)
    except MalformedAmountError:
        reading.faults.setdefault("amount", NO_AMOUNT)
        return Money(0, terms.currency)
    if not rules.allows(link, amount):
        little = amount.units == 0 or (terms.least is not None and amount < terms.least)
        reading.faults["amount"] = TOO_LITTLE if little else TOO_MUCH
    return amount


def _email(reading: Reading, name: str, *, required: bool) -> str:
    text = reading.text(name, most=EMAIL_MAX, required=required)
    if text and EMAIL.fullmatch(text) is None:
        reading.faults[name] = NO_EMAIL
    return text


def _answer(reading: Reading, question: Question) -> str:
    name = QUESTION + question.key
    if question.kind is Kind.EMAIL:
        return _email(reading, name, required=question.required)
    answer = reading.text(name, most=ANSWER_MAX, required=question.required)
    if answer and question.kind is Kind.NUMBER and NUMBER.fullmatch(answer) is None:
        reading.faults[name] = NO_NUMBER
    if answer and question.kind is Kind.SELECT and answer not in question.options:
        reading.faults[name] = NO_CHOICE
    return answer
