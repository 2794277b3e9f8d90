"""Whatever is not final explains itself, in three languages (bars.md U5): generated from the table of transitions."""

import re
from pathlib import Path
from typing import Final

import pytest

from opentill.db import Database
from opentill.payments import transitions
from tests.usecases.admin.house import House, open_house

LANGUAGES: Final = ("pt-BR", "en", "es")
STATES: Final = transitions.states(transitions.TRANSACTION)
FINISHED: Final = frozenset({"completed", "refunded", "failed", "cancelled", "expired"})
OURS_TO_DECIDE: Final = frozenset({"awaiting_verification", "pending_review"})
SAID: Final = re.compile(r'<section class="box"><div class="inside"><p>(.*?)</p>', re.S)


async def told(house: House, state: str, language: str) -> str:
    """Return what the panel says about a payment in a state."""
    paid = state in ("completed", "refunded")
    reference = house.names["payment"] if paid else house.names["open"]
    await house.shop.db.write(
        lambda tx: tx.run(
            "update payment set detail = :detail, status = :status where reference = :reference",
            detail=state,
            status="completed" if paid else "processing" if state in OURS_TO_DECIDE else state,
            reference=reference,
        )
    )
    browser = await house.browser(**{"accept-language": language})
    await browser.opens(f"{house.home}/payments/{reference}")
    found = SAID.search(browser.page.text)
    assert found is not None, state
    return " ".join(re.sub(r"<a [^>]*>", "→ ", found[1]).replace("</a>", "").split())


@pytest.mark.bar("U5")
async def test_every_state_of_a_payment_is_explained_in_each_language(database: Database, tmp_path: Path) -> None:
    house = await open_house(database, tmp_path)
    house.names["open"] = (await house.shop.orders()).reference
    sentences = {(state, language): await told(house, state, language) for state in STATES for language in LANGUAGES}
    for language in LANGUAGES:
        texts = [sentences[state, language] for state in STATES]
        assert all(len(text) >= 10 for text in texts)
        assert len(set(texts)) == len(STATES), f"two states read alike in {language}"
    for state in STATES:
        assert len({sentences[state, language] for language in LANGUAGES}) == len(LANGUAGES), state
        if state in OURS_TO_DECIDE:
            assert all("→" in sentences[state, language] for language in LANGUAGES), f"{state}: where to decide"
        elif state not in FINISHED:
            assert all("<time" in sentences[state, language] for language in LANGUAGES), f"{state}: what comes next"
