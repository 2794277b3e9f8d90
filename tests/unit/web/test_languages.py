"""Every text exists in every language, and a reader gets the language they ask for."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from opentill.web import languages

SOURCE = Path(languages.__file__).parents[1]
SPOKEN = languages.load()
TRANSLATED = {"pt-BR": "pt_BR.po", "es": "es.po"}
PLACE = re.compile(r"%\(\w+\)s")


def texts() -> set[str]:
    """Return every text of the templates and every sentence of a refusal that a page shows."""
    found = extract_from_dir(
        str(SOURCE),
        method_map=[
            ("**/templates/**.html", "jinja2.ext:babel_extract"),
            ("**/templates/**.txt", "jinja2.ext:babel_extract"),
            ("operators/**.py", "python"),
            ("admin/**.py", "python"),
            ("merchants/**.py", "python"),
            ("payments/conversion.py", "python"),
            ("payments/disputes/**.py", "python"),
            ("payments/exports/**.py", "python"),
            ("payments/invoices/rules.py", "python"),
            ("payments/links/**.py", "python"),
            ("payments/pix/removal.py", "python"),
            ("payments/refunds/**.py", "python"),
            ("payments/review/decisions.py", "python"),
            ("payments/review/items.py", "python"),
            ("payments/rules.py", "python"),
            ("payments/service/**.py", "python"),
            ("pix/accounts.py", "python"),
            ("pix/providers/bacen/profile.py", "python"),
            ("pix/payouts/**.py", "python"),
            ("pix/providers/certificates.py", "python"),
            ("webhooks/service/refusals.py", "python"),
            ("webhooks/portal_access.py", "python"),
            ("web/error_codes.py", "python"),
        ],
        options_map={f"**/templates/**.{ending}": {"trimmed": "true", "silent": "false"} for ending in ("html", "txt")},
        keywords={"_": None, "gettext": None, "Fault": (3,)}
        | dict.fromkeys(("Refused", "Conflict", "Forbidden", "RefundRefused"), (2,)),
    )
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


@pytest.mark.bar("U10", part="keys")
@pytest.mark.parametrize("tag", TRANSLATED)
def test_every_text_is_translated_and_nothing_else_is(tag: str) -> None:
    with (languages.FOLDER / TRANSLATED[tag]).open("rb") as file:
        catalogue = read_po(file)
    translated = {message.id for message in catalogue if message.id and message.string and not message.fuzzy}

    assert texts() - translated == set()
    assert translated - texts() == set()


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_translation_keeps_the_places_of_its_text(tag: str) -> None:
    for text in texts():
        translated = SPOKEN[tag].texts.gettext(text)
        assert sorted(PLACE.findall(translated)) == sorted(PLACE.findall(text)), text
        assert translated.endswith(("?", ".", ":")) == text.endswith(("?", ".", ":")), text


def test_spanish_readers_are_addressed_as_friends() -> None:
    assert [text for text in texts() if re.search(r"\b[Uu]sted\b", SPOKEN["es"].texts.gettext(text))] == []


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("", "en"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("es-419, en;q=0.5", "es"),
        ("fr, es;q=0.3, en;q=0.7", "en"),
        ("de;q=1, es;q=0", "en"),
        ("es;q=0, pt;q=0.001", "pt-BR"),
        ("*, ;;;, es;q=x, pt;q=0.5", "pt-BR"),
    ],
)
def test_a_reader_gets_what_the_browser_prefers(accepted: str, tag: str) -> None:
    assert languages.choose(SPOKEN, asked=None, remembered=None, accepted=accepted).tag == tag


def test_the_switch_wins_over_memory_and_memory_over_the_browser() -> None:
    choose = languages.choose
    assert choose(SPOKEN, asked="es", remembered="pt-BR", accepted="en").tag == "es"
    assert choose(SPOKEN, asked="xx", remembered="pt-BR", accepted="en").tag == "pt-BR"
    assert choose(SPOKEN, asked=None, remembered="../es", accepted="en").tag == "en"
