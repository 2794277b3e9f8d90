"""The languages of the pages, and which one a reader gets.

Texts are written in English in the templates and translated by the catalogues in `locales/`, which are read when
the process starts. A reader gets what they switched to, else what their browser prefers, else English.
"""

import gettext
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).parent / "locales"
DEFAULT: Final = "en"
PREFERENCES_MAX: Final = 20  # entries of Accept-Language that are read


@dataclass(frozen=True, slots=True)
class Language:
    """A language people can read OpenTill in."""

    tag: str  # as HTML and HTTP name it
    name: str  # in itself
    locale: Locale
    texts: gettext.NullTranslations

    @property
    def direction(self) -> str:
        """Return `ltr` or `rtl`."""
        return self.locale.text_direction


def load(folder: Path = FOLDER) -> Mapping[str, Language]:
    """Return every language by its tag, in the order the switch shows them."""
    return {
        "pt-BR": Language("pt-BR", "Português", Locale("pt", "BR"), _catalogue(folder / "pt_BR.po")),
        "en": Language("en", "English", Locale("en"), gettext.NullTranslations()),
        "es": Language("es", "Español", Locale("es"), _catalogue(folder / "es.po")),
    }


def choose(languages: Mapping[str, Language], *, asked: str | None, remembered: str | None, accepted: str) -> Language:
    """Return the language for a reader: *asked* for now, *remembered* from before, *accepted* by the browser."""
    for wish in (asked, remembered):
        if wish is not None and wish in languages:
            return languages[wish]
    for range_ in _preferences(accepted):
        primary = range_.partition("-")[0]
        for tag, language in languages.items():
            if tag.partition("-")[0].lower() == primary:
                return language
    return languages[DEFAULT]


def _preferences(accepted: str) -> list[str]:
    """Return the ranges of an Accept-Language header in lower case, dearest first, without refused ones."""
    weighed = []
    for entry in accepted.split(",")[:PREFERENCES_MAX]:
        range_, _, weight = entry.partition(";")
        thousandths = _thousandths(weight)
        if thousandths:
            weighed.append((thousandths, range_.strip().lower()))
    return [range_ for _, range_ in sorted(weighed, key=lambda pair: -pair[0])]


def _thousandths(weight: str) -> int:
    """Read `q=0.8` as 800; no weight is 1000, a malformed one 0."""
    name, _, value = weight.replace(" ", "").partition("=")
    if not name:
        return 1000
    whole, _, decimals = value.partition(".")
    digits = (whole + decimals.ljust(3, "0")[:3]) if name.lower() == "q" else ""
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _catalogue(file: Path) -> gettext.NullTranslations:
    """Compile a catalogue in memory, so that no compiled file can disagree with its source."""
    with file.open("rb") as source:
        catalogue = read_po(source)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
