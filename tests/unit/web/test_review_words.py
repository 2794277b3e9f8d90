"""Every reason for which something waits for a person, and every ending, has words in every language."""

import pytest

from opentill.operators import reasons
from opentill.operators.reasons import Ending, Reason, Worded
from opentill.web import languages

SPOKEN = languages.load()


@pytest.mark.parametrize("tag", ["pt-BR", "es"])
@pytest.mark.parametrize("one", [*Reason, *Ending], ids=lambda one: one.name)
def test_it_has_words(one: Worded, tag: str) -> None:
    assert one.words
    assert SPOKEN["en"].texts.gettext(one.words) == one.words
    assert SPOKEN[tag].texts.gettext(one.words) != one.words


def test_what_is_stored_leads_to_its_words() -> None:
    assert reasons.told("paid twice") == ("Paid twice", {})
    assert reasons.told("5 hours are left to defend") == (Reason.HOURS_LEFT.words, {"hours": "5"})
    assert reasons.told("100 % of an older release") == ("100 % of an older release", {})
    assert reasons.ended("not_sent") == "not sent"
